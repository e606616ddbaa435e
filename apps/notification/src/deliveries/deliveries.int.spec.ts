import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { SendPush, SendSms } from '#libs/contracts';
import { SendPushConsumer } from '../send-push/send-push.consumer.js';
import { SendSmsConsumer } from '../send-sms/send-sms.consumer.js';
import { deliveryOf, NotificationUnderTest } from '../testing/notification-under-test.js';
import { LogOnlyProvider, type TextProvider } from './text-provider.js';

let service: NotificationUnderTest;
beforeAll(async () => {
  service = await NotificationUnderTest.start();
}, 60_000);
afterAll(() => service?.stop());

const text = {
  subjectId: '0123456789-0123456789abcdef',
  kind: 'order-paid',
  text: 'yours',
  to: 'buyer',
} as const;

test('one text per subject, kind and channel, however often it is asked for', async () => {
  const references: string[] = [];
  const counting: TextProvider = {
    send: ({ reference }) => {
      references.push(reference);
      return Promise.resolve();
    },
  };
  const sms = new SendSmsConsumer(service.deliveries, counting);
  const push = new SendPushConsumer(service.deliveries, counting);
  const cancelled = { ...text, kind: 'order-cancelled' } as const;
  await sms.handle([deliveryOf(SendSms, text), deliveryOf(SendSms, text), deliveryOf(SendSms, cancelled)]);
  await sms.handle([deliveryOf(SendSms, text)]);
  await push.handle([deliveryOf(SendPush, text)]);
  expect(references.sort()).toEqual([
    `push:order-paid:${text.subjectId}`,
    `sms:order-cancelled:${text.subjectId}`,
    `sms:order-paid:${text.subjectId}`,
  ]);
});

test('what was sent can be read newest first, by recipient and channel', async () => {
  const provider = new LogOnlyProvider('sms', pino({ level: 'silent' }));
  const sms = new SendSmsConsumer(service.deliveries, provider);
  for (const subjectId of ['first', 'second']) {
    await sms.handle([deliveryOf(SendSms, { ...text, subjectId, to: '+491701234567' })]);
  }
  const entries = await service.mailbox('+491701234567');
  expect(entries.map(({ subjectId }) => subjectId)).toEqual(['second', 'first']);
  expect(entries[0]).toMatchObject({
    channel: 'sms',
    recipient: '+491701234567',
    kind: 'order-paid',
    status: 'SENT',
  });
  expect(await service.mailbox('nobody')).toEqual([]);
});
