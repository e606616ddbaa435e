import { expect, test } from '@jest/globals';
import { effectOf, type PaymentStatus, type RefundStatus, type WebhookType } from './payment-state.js';

const cells: [PaymentStatus, RefundStatus | undefined, WebhookType, string][] = [
  ['PENDING', undefined, 'payment.succeeded', 'capture'],
  ['PENDING', undefined, 'payment.failed', 'decline'],
  ['FAILED', undefined, 'payment.succeeded', 'capture'],
  ['FAILED', undefined, 'payment.failed', 'nothing'],
  ['SUCCEEDED', undefined, 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', undefined, 'payment.failed', 'nothing'],
  ['SUCCEEDED', undefined, 'refund.succeeded', 'refunded-by-provider'],
  ['PENDING', undefined, 'refund.succeeded', 'too-early'],
  ['FAILED', undefined, 'refund.succeeded', 'too-early'],
  ['SUCCEEDED', 'REQUESTED', 'refund.succeeded', 'refunded'],
  ['SUCCEEDED', 'REQUESTED', 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', 'REQUESTED', 'payment.failed', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'refund.succeeded', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'payment.succeeded', 'nothing'],
  ['SUCCEEDED', 'SUCCEEDED', 'payment.failed', 'nothing'],
];

const money = { amountMinor: 5_000, currency: 'EUR' };
const types = ['payment.succeeded', 'payment.failed', 'refund.succeeded', 'dispute.opened'] as const;

test.each(cells)('%s, refund %s + %s → %s', (payment, refund, type, effect) => {
  expect(effectOf({ ...money, payment, refund }, { ...money, type })).toBe(effect);
});

test.each(types)('%s of another currency, or of more, gives nobody a ticket', (type) => {
  const odd = type === 'dispute.opened' ? { anomaly: 'dispute' } : { anomaly: 'amount-differs' };
  for (const payment of ['PENDING', 'SUCCEEDED', 'FAILED'] as const) {
    const state = { ...money, payment, refund: undefined };
    expect(effectOf(state, { ...money, type, currency: 'HUF' })).toEqual(odd);
    expect(effectOf(state, { ...money, type, amountMinor: 5_001 })).toEqual(odd);
  }
});

test('a part of the money that goes back leaves the tickets where they are, asked for or not', () => {
  for (const refund of [undefined, 'REQUESTED', 'SUCCEEDED'] as const) {
    const state = { ...money, payment: 'SUCCEEDED' as const, refund };
    const part = { ...money, type: 'refund.succeeded' as const, amountMinor: 4_999 };
    expect(effectOf(state, part)).toEqual({ anomaly: 'partial-refund' });
  }
});
