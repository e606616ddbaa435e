import { expect, test } from '@jest/globals';
import { effectOf, type PaymentStatus, type RefundStatus, type WebhookType } from './payment-state.js';

const cells: [PaymentStatus, RefundStatus | undefined, WebhookType, string][] = [
  ['PENDING', undefined, 'payment.succeeded', 'capture'],
  ['PENDING', undefined, 'payment.failed', 'decline'],
  ['FAILED', undefined, 'payment.succeeded', 'capture'],
  ['FAILED', undefined, 'payment.failed', 'nothing'],
  ['SUCCEEDED', undefined, 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', undefined, 'payment.failed', 'nothing'],
  ['SUCCEEDED', undefined, 'refund.succeeded', 'not-asked-for'],
  ['SUCCEEDED', 'REQUESTED', 'refund.succeeded', 'refunded'],
  ['SUCCEEDED', 'REQUESTED', 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', 'REQUESTED', 'payment.failed', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'refund.succeeded', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'payment.failed', 'nothing'],
];

test.each(cells)('%s, refund %s + %s → %s', (payment, refund, type, effect) => {
  expect(effectOf({ payment, refund }, type)).toBe(effect);
});
