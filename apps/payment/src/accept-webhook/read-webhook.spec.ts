import { expect, test } from '@jest/globals';
import { readWebhook } from './read-webhook.js';

const genuine = {
  eventId: '00000000-0000-4000-8000-000000000001',
  type: 'payment.succeeded',
  paymentId: '00000000-0000-4000-8000-000000000002',
  amountMinor: 5_000,
  currency: 'EUR',
  occurredAt: '2026-11-21T12:34:56.000Z',
};

test('one that we know is read, with fields that are new to us', () => {
  expect(readWebhook(JSON.stringify({ ...genuine, livemode: true }))).toEqual({ webhook: genuine });
});

test.each([
  [{ ...genuine, type: 'payout.created' }, 'unknown-type'],
  [{ type: 'charge.updated', data: {} }, 'unknown-type'],
  [{ ...genuine, paymentId: 'donation-17' }, 'foreign-payment'],
  [{ ...genuine, amountMinor: 49.5 }, 'unreadable'],
  [{ ...genuine, paymentId: undefined }, 'unreadable'],
  [{ ...genuine, type: 7 }, 'unreadable'],
  [[genuine], 'unreadable'],
  ['payment.succeeded', 'unreadable'],
  [null, 'unreadable'],
])('%j is recorded as %s', (body, kind) => {
  const text = JSON.stringify(body);
  expect(readWebhook(text)).toMatchObject({ anomaly: { kind, body: text } });
});

test.each(['', '{"eventId":', '<xml/>'])('%j is recorded as it came', (text) => {
  expect(readWebhook(text)).toEqual({ anomaly: { kind: 'unreadable', body: text } });
});
