import { z } from 'zod';
import { defineCommand, defineEvent, type PayloadOf } from '#libs/messaging';
import { BuyerId, Instant } from '../values.js';

/** 6 to 15 digits; E.164 when it starts with a plus. */
export const Phone = z.string().regex(/^\+?\d{6,15}$/);

/** A buyer asked for a sign-in code; the notification service sends it by SMS. */
export const CodeRequested = defineEvent({
  topic: 'user',
  tag: 'code-requested',
  version: 1,
  // Not the phone: keys are shown in logs, traces and command lines.
  key: (request) => request.codeId,
  payload: z.object({ codeId: z.uuid(), phone: Phone, code: z.string(), expiresAt: Instant }),
});
export type CodeRequested = PayloadOf<typeof CodeRequested>;

/** Sent with a delay of five minutes beside every `CodeRequested`. */
export const CodeExpired = defineCommand({
  topic: 'user',
  tag: 'code-expired',
  version: 1,
  key: (expiry) => expiry.codeId,
  payload: z.object({ codeId: z.uuid(), phone: Phone }),
});
export type CodeExpired = PayloadOf<typeof CodeExpired>;

/** A phone number signed in for the first time. */
export const UserRegistered = defineEvent({
  topic: 'user',
  tag: 'registered',
  version: 1,
  key: (user) => user.userId,
  payload: z.object({ userId: BuyerId, phone: Phone, registeredAt: Instant }),
});
export type UserRegistered = PayloadOf<typeof UserRegistered>;
