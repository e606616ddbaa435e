import { expect, test } from '@jest/globals';
import type { OrderSubmitted } from '#libs/contracts';
import { MESSAGING_ERRORS, MessagingError, type MessageBus, type MessagingErrorCode } from '#libs/messaging';
import type { BrokerGate } from '../broker-gate/broker-gate.js';
import { SubmitOrder } from './submit-order.js';

const order = { orderNo: `0123456789-${'0'.repeat(16)}` } as OrderSubmitted;

/** Sends it over a broker that answers like that. */
function submit(answer: () => Promise<void>): { outcome: Promise<void>; options: unknown[] } {
  const options: unknown[] = [];
  const send = (...[, , given]: unknown[]): Promise<void> => {
    options.push(given);
    return answer();
  };
  const gate = { send: (work: () => Promise<void>) => work() } as unknown as BrokerGate;
  return { outcome: new SubmitOrder({ send } as unknown as MessageBus, gate).send(order), options };
}

const NOTHING_STORED: readonly MessagingErrorCode[] = [
  ...(['BUFFER_FULL', 'QUEUE_FULL', 'STORAGE_FULL', 'MESSAGE_TOO_LARGE'] as const),
  ...(['INVALID_ARGUMENT', 'INVALID_PAYLOAD'] as const),
];

test.each(Object.keys(MESSAGING_ERRORS) as MessagingErrorCode[])(
  '%s is a certain failure only where nothing can have been stored',
  async (code) => {
    const { outcome } = submit(() => Promise.reject(new MessagingError(code, 'no')));
    await expect(outcome).rejects.toMatchObject({ certainlyNotSent: NOTHING_STORED.includes(code) });
  },
);

test('any other error is an unclear outcome', async () => {
  const { outcome } = submit(() => Promise.reject(new TypeError('a bug')));
  await expect(outcome).rejects.toMatchObject({ certainlyNotSent: false });
});

test('a repeat is the same message', async () => {
  const { outcome, options } = submit(() => Promise.resolve());
  await outcome;
  expect(options).toEqual([{ id: `order-submitted:${order.orderNo}` }]);
});
