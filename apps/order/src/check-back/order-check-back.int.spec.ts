import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ROLLBACK_AFTER_MS, type CheckedMessage, type TransactionDecision } from '#libs/messaging';
import { OrderUnderTest } from '../testing/order-under-test.js';
import { OrderCheckBack } from './order.check-back.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

const check = (...messages: CheckedMessage[]): Promise<TransactionDecision> =>
  new OrderCheckBack(shop.store, shop.database).check('', messages);
const cancelled = (orderNo: string, cancelledAt: string): CheckedMessage => ({
  contract: 'order.cancelled',
  payload: {
    ...{ orderNo, buyerId: 'b', ticketTypeId: 'tt0123456789', quantity: 1, totalMinor: 5_000 },
    ...{ currency: 'EUR', reason: 'buyer', cancelledAt },
  },
});
/** Cancels it at that very instant. */
const cancel = (orderNo: string, at: string): Promise<void> =>
  shop.store.change([{ orderNo, from: 'PENDING_PAYMENT', change: { to: 'CANCELLED', reason: 'buyer' } }], at);
const longAgo = (): string => new Date(Date.now() - ROLLBACK_AFTER_MS - 1_000).toISOString();

test.each([0, 1])(
  'one claim of two that holds (number %i) is not a transaction that was written',
  async (which) => {
    const orders = await shop.placed(await shop.ticketType(2), 2);
    const at = new Date().toISOString();
    await cancel(orders[which]?.orderNo ?? '', at);
    const half = orders.map(({ orderNo }) => cancelled(orderNo, at));
    expect(await check(...half)).toBe('unknown');
    await cancel(orders[1 - which]?.orderNo ?? '', at);
    expect(await check(...half)).toBe('commit');
  },
);

test('none that holds, long after the deadline, was not written; the same status at another instant is another write', async () => {
  const [first, second] = await shop.placed(await shop.ticketType(2), 2);
  if (first === undefined || second === undefined) throw new Error('nothing was placed');
  const half = [first, second].map(({ orderNo }) => cancelled(orderNo, longAgo()));
  expect(await check(...half)).toBe('rollback');
  for (const { orderNo } of [first, second]) await cancel(orderNo, new Date().toISOString());
  expect(await check(...half)).toBe('rollback');
});

test('what claims nothing is not ours to decide', async () => {
  expect(await check({ contract: 'order.payment-timeout', payload: { orderNo: 'x' } })).toBe('unknown');
  expect(await check()).toBe('unknown');
});
