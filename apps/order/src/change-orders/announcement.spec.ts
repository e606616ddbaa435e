import { describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Order } from '../domain/order.js';
import { announcement, announcementAgain } from './announcement.js';

const AT = '2026-11-26T10:00:00.000Z';
const EARLIER = '2026-11-26T09:00:00.000Z';
const paymentId = randomUUID();
const orderOf = (...statuses: Order['status'][]): Order => ({
  ...{ orderNo: `0123456789-${'0'.repeat(16)}`, buyerId: 'b', ticketTypeId: 'tt0123456789', quantity: 2 },
  ...{ totalMinor: 5_000, currency: 'EUR', status: statuses.at(-1) ?? 'PENDING_PAYMENT', paymentId },
  ...{ cancelReason: undefined, payBeforeMs: 0, createdAtMs: 0 },
  history: statuses.map((status, index) => ({
    ...{ status, at: index === statuses.length - 1 ? AT : EARLIER },
    ...(status === 'REFUNDING' && { reason: 'sold-out' }),
  })),
});

test.each([true, false])('a payment tells whether tickets had to be taken again: %s', (reacquired) => {
  const { payload } = announcement(orderOf('PENDING_PAYMENT'), { to: 'PAID', paymentId, reacquired }, AT);
  expect(payload).toMatchObject({ paymentId, reacquired, paidAt: AT });
});

describe('what is told again is what was told', () => {
  test.each<[string, Order, object]>([
    ['paid in time', orderOf('PENDING_PAYMENT', 'PAID'), { reacquired: false, paidAt: AT, paymentId }],
    ['paid late', orderOf('CANCELLED', 'PAID'), { reacquired: true, paidAt: AT, paymentId }],
    [
      'to be refunded',
      orderOf('CANCELLED', 'REFUNDING'),
      { reason: 'sold-out', requestedAt: AT, amountMinor: 5_000, currency: 'EUR', paymentId },
    ],
  ])('of an order %s', (_what, order, payload) => {
    expect(announcementAgain(order)?.payload).toMatchObject(payload);
  });

  test.each([orderOf('PENDING_PAYMENT'), orderOf('CANCELLED'), orderOf('PAID', 'REFUNDED')])(
    'and nothing of one that is $status: nobody waits for it',
    (order) => {
      expect(announcementAgain(order)).toBeUndefined();
    },
  );
});
