import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { OrderUnderTest } from '../testing/order-under-test.js';
import { OrderBook, WriteRaceLost, type OrderUpdate } from './order-book.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

const cancelled = ({ orderNo }: { orderNo: string }): OrderUpdate => ({
  orderNo,
  from: 'PENDING_PAYMENT',
  change: { to: 'CANCELLED', reason: 'buyer' },
});
const now = (): string => new Date().toISOString();

describe('changes of several orders', () => {
  test('are all made, or none when one order has moved on', async () => {
    const orders = await shop.placed(await shop.ticketType(3), 3);
    const [first, ...others] = orders.map(cancelled);
    if (first === undefined) throw new Error('nothing was placed');
    await shop.book.change([first], now());
    await expect(shop.book.change([...others, first], now())).rejects.toThrow(WriteRaceLost);
    for (const { orderNo } of others) expect(await shop.statuses(orderNo)).not.toContain('CANCELLED');
    await shop.book.change(others, now());
    for (const { orderNo } of orders) expect(await shop.statuses(orderNo)).toContain('CANCELLED');
  });

  test('are committed by the statement that checks the fence: a client that freezes cannot come in between', async () => {
    const orders = await shop.placed(await shop.ticketType(2), 2);
    const database = new Proxy(shop.database, {
      get(target, property): unknown {
        if (property === '$transaction') throw new Error('the commit is a message of its own');
        const value: unknown = Reflect.get(target, property);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await new OrderBook(database).change(orders.map(cancelled), now());
    const late = new Date(Date.now() - 21_000).toISOString();
    const more = await shop.placed(await shop.ticketType(2), 2);
    await expect(shop.book.change(more.map(cancelled), late)).rejects.toThrow(WriteRaceLost);
  });

  test('that overlap do not deadlock, whatever order they name the orders in', async () => {
    for (let round = 0; round < 10; round += 1) {
      const orders = await shop.placed(await shop.ticketType(100), 100);
      const updates = orders.map(cancelled);
      const ends = await Promise.allSettled(
        [updates, updates.toReversed(), updates, updates.toReversed()].map((batch) =>
          shop.book.change(batch, now()),
        ),
      );
      expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const end of ends) if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(WriteRaceLost);
    }
  });
});
