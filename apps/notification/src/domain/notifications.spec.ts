import { describe, expect, test } from '@jest/globals';
import {
  orderCancelledNotification,
  orderPaidNotification,
  orderRefundedNotification,
  orderRejectedNotification,
  paymentDeclinedNotification,
  paymentRefundedNotification,
  signInCodeNotification,
} from './notifications.js';

const facts = {
  orderNo: '0123456789-0123456789abcdef',
  buyerId: 'buyer-1',
  ticketTypeId: 'tt0123456789',
  quantity: 2,
  totalMinor: 9_900,
  currency: 'EUR',
};
const paymentId = '00000000-0000-4000-8000-000000000000';
const at = '2026-11-21T12:34:56.000Z';

describe('an order notification', () => {
  test('names the order, and the amount where money moved', () => {
    const paid = orderPaidNotification({ ...facts, paymentId, paidAt: at, reacquired: false });
    const refunded = orderRefundedNotification({ ...facts, paymentId, refundedAt: at });
    for (const { subject, text } of [paid, refunded]) {
      expect(subject).toContain(facts.orderNo);
      expect(text).toContain(facts.orderNo);
      expect(text).toContain('€99.00');
    }
    expect(paid.channels).toEqual(['sms', 'email', 'push']);
  });

  test('says of a paid order whose money went back that its tickets are no longer valid', () => {
    const order = { ...facts, paymentId, refundedAt: at, reason: 'by-provider' as const };
    expect(orderRefundedNotification(order).text).toMatch(/no longer valid\. We sent €99\.00 back/);
  });

  test('says why the order was cancelled', () => {
    const byTimeout = orderCancelledNotification({ ...facts, reason: 'payment-timeout', cancelledAt: at });
    const byBuyer = orderCancelledNotification({ ...facts, quantity: 1, reason: 'buyer', cancelledAt: at });
    expect(byTimeout.text).toContain('2 tickets was cancelled because it was not paid in time');
    expect(byBuyer.text).toContain('1 ticket was cancelled as you asked');
  });
});

describe('an order that did not end with tickets', () => {
  test.each([
    ['sold-out', 'when no tickets were left'],
    ['sale-over', 'when its sale was over'],
    ['cancelled-by-buyer', 'after you had cancelled it'],
    ['ledger-refused', 'sold to somebody else'],
    [undefined, 'when no tickets were left'],
  ] as const)('refunded as %s says why', (reason, why) => {
    const { text, kind } = orderRefundedNotification({ ...facts, paymentId, reason, refundedAt: at });
    expect(kind).toBe('order-refunded');
    expect(text).toContain(why);
    expect(text).toContain('€99.00');
  });

  test('rejected is told as well', () => {
    const rejected = orderRejectedNotification({ ...facts, reason: 'hold-lost', rejectedAt: at });
    expect(rejected).toMatchObject({ subjectId: facts.orderNo, kind: 'order-rejected', to: 'buyer-1' });
    expect(rejected.channels).toEqual(['sms', 'email', 'push']);
  });
});

describe('a payment', () => {
  const payment = {
    paymentId,
    orderNo: facts.orderNo,
    buyerId: 'buyer-1',
    amountMinor: 9_900,
    currency: 'EUR',
  };

  test('that was declined is told by its own name: an order may have several', () => {
    const declined = paymentDeclinedNotification({ ...payment, failedAt: at });
    expect(declined).toMatchObject({ subjectId: paymentId, kind: 'payment-declined', to: 'buyer-1' });
    expect(declined?.text).toContain('€99.00');
    expect(paymentDeclinedNotification({ ...payment, buyerId: undefined, failedAt: at })).toBeUndefined();
  });

  test.each(['paid-twice', 'order-rejected'] as const)('sent back as %s is told', (reason) => {
    const back = paymentRefundedNotification({ ...payment, reason, refundedAt: at });
    expect(back).toMatchObject({ subjectId: paymentId, kind: 'payment-refunded', to: 'buyer-1' });
  });

  test.each(['sold-out', 'sale-over', 'cancelled-by-buyer', 'ledger-refused'] as const)(
    'sent back as %s is told with its order, once',
    (reason) => {
      expect(paymentRefundedNotification({ ...payment, reason, refundedAt: at })).toBeUndefined();
    },
  );
});

test('tickets that cost nothing are yours without a word of money', () => {
  const free = orderPaidNotification({ ...facts, totalMinor: 0, paidAt: at, reacquired: false });
  expect(free.text).toContain('There was nothing to pay');
  expect(`${free.subject} ${free.text}`).not.toMatch(/€|received|paid/);
});

describe('a sign-in code', () => {
  const request = { codeId: paymentId, phone: '+491701234567', code: '012345', expiresAt: at };

  test('goes to the phone by SMS only', () => {
    const notification = signInCodeNotification(request, Date.parse(at) - 1);
    expect(notification).toMatchObject({ channels: ['sms'], to: '+491701234567', subjectId: request.codeId });
    expect(notification?.text).toContain('012345');
    expect(notification?.text).toContain('12:34 UTC');
  });

  test('is not sent once it has expired', () => {
    expect(signInCodeNotification(request, Date.parse(at))).toBeUndefined();
  });
});
