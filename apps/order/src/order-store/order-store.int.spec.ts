import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ROLLBACK_AFTER_MS, WRITE_DEADLINE_MS, WriteRaceLost } from '#libs/messaging';
import { writesHaveEnded } from '#libs/service-kit';
import { OrderUnderTest } from '../testing/order-under-test.js';
import { OrderStore, type NewOrder, type OrderUpdate } from './order-store.js';

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
    await shop.store.change([first], now());
    await expect(shop.store.change([...others, first], now())).rejects.toThrow(WriteRaceLost);
    for (const { orderNo } of others) expect(await shop.statuses(orderNo)).not.toContain('CANCELLED');
    await shop.store.change(others, now());
    for (const { orderNo } of orders) expect(await shop.statuses(orderNo)).toContain('CANCELLED');
  });

  test('are committed by the statement that checks the deadline: a client that freezes cannot come in between', async () => {
    const orders = await shop.placed(await shop.ticketType(2), 2);
    const database = new Proxy(shop.database, {
      get(target, property): unknown {
        if (property === '$transaction') throw new Error('the commit is a message of its own');
        const value: unknown = Reflect.get(target, property);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await new OrderStore(database).change(orders.map(cancelled), now());
    const late = new Date(Date.now() - 21_000).toISOString();
    const more = await shop.placed(await shop.ticketType(2), 2);
    await expect(shop.store.change(more.map(cancelled), late)).rejects.toThrow(WriteRaceLost);
  });

  test('that overlap do not deadlock, whatever order they name the orders in', async () => {
    for (let round = 0; round < 10; round += 1) {
      const orders = await shop.placed(await shop.ticketType(100), 100);
      const updates = orders.map(cancelled);
      const ends = await Promise.allSettled(
        [updates, updates.toReversed(), updates, updates.toReversed()].map((batch) =>
          shop.store.change(batch, now()),
        ),
      );
      expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const end of ends) if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(WriteRaceLost);
    }
  });
});

describe('the write deadline', () => {
  /** A write whose deadline is this far away. */
  const leaves = (ms: number): string => new Date(Date.now() - WRITE_DEADLINE_MS + ms).toISOString();
  const until = async (condition: string): Promise<void> => {
    const is = async (): Promise<boolean> => {
      const [row] = await shop.database.$queryRawUnsafe<{ so: boolean }[]>(`SELECT (${condition}) AS so`);
      return row?.so === true;
    };
    while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const waitsFor = (lock: string): string =>
    `EXISTS (SELECT 1 FROM pg_locks WHERE locktype = '${lock}' AND NOT granted)`;

  /** Holds a lock while `work` runs. */
  async function holding(lock: string, work: () => Promise<void>): Promise<void> {
    const ends: unknown[] = [];
    await shop.database.$transaction(
      async (tx) => {
        await tx.$executeRawUnsafe(lock);
        await work().catch((error: unknown) => ends.push(error));
      },
      { timeout: 20_000 },
    );
    if (ends.length > 0) throw ends[0];
  }

  const newOrder = async (): Promise<NewOrder> => {
    const [order] = await shop.submitted(await shop.ticketType(1));
    if (order === undefined) throw new Error('nothing was submitted');
    return { ...order, status: 'PENDING_PAYMENT' };
  };

  test.each(['insert', 'change'])(
    'counts when the row is written: an %s that waited for the table is refused',
    async (kind) => {
      const order = await newOrder();
      if (kind === 'change') await shop.store.insert([order], now());
      const at = leaves(400);
      let writing: Promise<unknown> | undefined;
      // As CREATE INDEX takes it.
      await holding('LOCK TABLE orders IN SHARE MODE', async () => {
        const write = (): Promise<void> =>
          kind === 'insert' ? shop.store.insert([order], at) : shop.store.change([cancelled(order)], at);
        writing = write().catch((error: unknown) => error);
        await until(waitsFor('relation'));
        await until(`clock_timestamp() > '${at}'::timestamptz + interval '${WRITE_DEADLINE_MS} ms'`);
      });
      expect(await writing).toBeInstanceOf(WriteRaceLost);
      const statuses = kind === 'insert' ? [] : ['QUEUED', 'PENDING_PAYMENT'];
      expect(await shop.statuses(order.orderNo)).toEqual(statuses);
    },
  );

  test('of a write that waits for a row, in time when it began, is not over until it has ended', async () => {
    const order = await newOrder();
    await shop.store.insert([order], now());
    const at = leaves(300);
    let writing: Promise<unknown> | undefined;
    const lock = `SELECT 1 FROM orders WHERE order_no = '${order.orderNo}' FOR UPDATE`;
    await holding(lock, async () => {
      writing = shop.store.change([cancelled(order)], at);
      await until(waitsFor('transactionid'));
      expect(await writesUnderWay(at)).toBe(true);
    });
    await writing;
    expect(await writesUnderWay(at)).toBe(false);
    expect(await shop.statuses(order.orderNo)).toContain('CANCELLED');
  });

  /** What `writesHaveEnded` asks, without the ten seconds that it adds to the deadline. */
  async function writesUnderWay(at: string): Promise<boolean> {
    const asked = new Proxy(shop.database, {
      get: (target, property): unknown =>
        property === '$queryRawUnsafe'
          ? (sql: string, ...values: unknown[]) =>
              target.$queryRawUnsafe(sql.replace(`${ROLLBACK_AFTER_MS} milliseconds`, '0 ms'), ...values)
          : Reflect.get(target, property),
    });
    return !(await writesHaveEnded(asked, at));
  }

  test('has passed for a check-back by the clock of the database only', async () => {
    expect(await writesHaveEnded(shop.database, leaves(-9_000))).toBe(false);
    expect(await writesHaveEnded(shop.database, leaves(-11_000))).toBe(true);
  });
});
