import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { OrderCreated, PaymentTimeout } from '#libs/contracts';
import { envelope, type Envelope } from '#libs/messaging';
import { announcement, factsOf } from '../change-orders/announcement.js';
import type { OrderChange } from '../domain/order-state.js';
import type { Order } from '../domain/order.js';
import { claimOf, holds, type Claim } from './claim.js';

const AT = '2026-11-26T10:00:00.000Z';
const paymentId = randomUUID();
const order: Order = {
  ...{ orderNo: `0123456789-${'0'.repeat(16)}`, buyerId: 'b', ticketTypeId: 'tt0123456789' },
  ...{ quantity: 1, totalMinor: 5_000, currency: 'EUR', status: 'PENDING_PAYMENT', history: [] },
  ...{ paymentId: undefined, cancelReason: undefined, payBeforeMs: 0, createdAtMs: 0 },
};
const claimed = ({ contract, payload }: Envelope): Claim | undefined =>
  claimOf({ contract: contract.name, payload: JSON.parse(JSON.stringify(payload)) as unknown });

const changes: OrderChange[] = [
  { to: 'PAID', paymentId, reacquired: false },
  { to: 'CANCELLED', reason: 'buyer' },
  { to: 'REJECTED', reason: 'ledger-refused' },
  { to: 'REFUNDING', paymentId, reason: 'sold-out' },
  { to: 'REFUNDED', paymentId, ticketsReturned: false },
];
test.each(changes)('what is announced of $to claims that very change', (change) => {
  expect(claimed(announcement(order, change, AT))).toEqual({
    ...{ orderNo: order.orderNo, status: change.to, at: AT },
  });
});

test('a new order claims that it was written; the timeout that goes with it claims nothing', () => {
  const created = envelope(OrderCreated, { ...factsOf(order), createdAt: AT, payBefore: AT });
  expect(claimed(created)).toEqual({ orderNo: order.orderNo, status: 'PENDING_PAYMENT', at: AT });
  expect(claimed(envelope(PaymentTimeout, { orderNo: order.orderNo }))).toBeUndefined();
});

test.each<[string, boolean, Order['history'][number][]]>([
  ['that status at that instant', true, [{ status: 'PAID', at: AT }]],
  ['that status at another instant', false, [{ status: 'PAID', at: '2026-11-26T10:00:00.001Z' }]],
  ['another status at that instant', false, [{ status: 'CANCELLED', at: AT }]],
  ['nothing', false, []],
])('a history of %s: it holds is %s', (_what, isSo, history) => {
  expect(holds({ orderNo: order.orderNo, status: 'PAID', at: AT }, { history })).toBe(isSo);
});

test('nothing holds of an order that is not written', () => {
  expect(holds({ orderNo: order.orderNo, status: 'PAID', at: AT }, undefined)).toBe(false);
});
