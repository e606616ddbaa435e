import { expect, test } from '@jest/globals';
import type { Envelope, MessageBus } from '#libs/messaging';
import type { Notification } from '../domain/notifications.js';
import { DispatchNotifications } from './dispatch-notifications.js';

function dispatching() {
  const sends: (readonly Envelope[])[] = [];
  const sendBatch = (envelopes: readonly Envelope[]): Promise<void> => {
    sends.push(envelopes);
    return Promise.resolve();
  };
  return { dispatch: new DispatchNotifications({ sendBatch } as unknown as MessageBus), sends };
}
const paid = (subjectId: string): Notification => ({
  subjectId,
  kind: 'order-paid',
  channels: ['sms', 'email', 'push'],
  to: 'buyer',
  subject: 'paid',
  text: 'paid',
});
const idsOf = (envelopes: readonly Envelope[]): unknown[] => envelopes.map(({ options }) => options.id);

test('a batch becomes one send with a command per notification and channel; what has expired is left out', async () => {
  const { dispatch, sends } = dispatching();
  await dispatch.execute([paid('one'), undefined, paid('two')]);
  expect(sends).toHaveLength(1);
  // All go to one topic, where a second message of the same id is dropped.
  expect(new Set(idsOf(sends[0] ?? [])).size).toBe(6);
});

test('a batch that died between its send and its ack asks for the very same commands, also when it comes in other batches', async () => {
  const { dispatch, sends } = dispatching();
  await dispatch.execute([paid('one'), paid('two')]);
  await dispatch.execute([paid('two')]);
  await dispatch.execute([paid('one')]);
  const [first = [], ...again] = sends;
  expect(new Set(idsOf(again.flat()))).toEqual(new Set(idsOf(first)));
});
