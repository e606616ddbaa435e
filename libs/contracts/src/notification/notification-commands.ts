import { z } from 'zod';
import { defineCommand, type PayloadOf } from '#libs/messaging';

/** What a notification is about; with the subject and the channel it names one delivery, once. */
export const NotificationKind = z.enum([
  'order-paid',
  'order-cancelled',
  'order-rejected',
  'order-refunded',
  'payment-declined',
  'payment-refunded',
  'sign-in-code',
]);
export type NotificationKind = z.output<typeof NotificationKind>;

const Notification = z.object({
  /** The order number, the payment's id, or the id of the sign-in code. */
  subjectId: z.string().min(1),
  kind: NotificationKind,
  text: z.string(),
});

/** To a phone number (E.164) for a sign-in code, to a buyer's id otherwise. */
export const SendSms = defineCommand({
  topic: 'notification',
  tag: 'sms',
  version: 1,
  key: (sms) => sms.subjectId,
  payload: Notification.extend({ to: z.string().min(1) }),
});
export type SendSms = PayloadOf<typeof SendSms>;

export const SendEmail = defineCommand({
  topic: 'notification',
  tag: 'email',
  version: 1,
  key: (email) => email.subjectId,
  payload: Notification.extend({ to: z.string().min(1), subject: z.string().min(1) }),
});
export type SendEmail = PayloadOf<typeof SendEmail>;

export const SendPush = defineCommand({
  topic: 'notification',
  tag: 'push',
  version: 1,
  key: (push) => push.subjectId,
  payload: Notification.extend({ to: z.string().min(1) }),
});
export type SendPush = PayloadOf<typeof SendPush>;
