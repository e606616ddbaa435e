import { describe, expect, test } from '@jest/globals';
import {
  orderCancelledNotification,
  orderPaidNotification,
  orderRefundedNotification,
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

  test('says why the order was cancelled', () => {
    const byTimeout = orderCancelledNotification({ ...facts, reason: 'payment-timeout', cancelledAt: at });
    const byBuyer = orderCancelledNotification({ ...facts, quantity: 1, reason: 'buyer', cancelledAt: at });
    expect(byTimeout.text).toContain('2 tickets was cancelled because it was not paid in time');
    expect(byBuyer.text).toContain('1 ticket was cancelled as you asked');
  });
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
