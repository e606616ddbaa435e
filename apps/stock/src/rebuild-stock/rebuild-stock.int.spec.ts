import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { lockTicketTypes } from '../move-stock/movement-ledger.js';
import type { StockEvent } from '../move-stock/stock-event.js';
import { StockUnderTest } from '../testing/stock-under-test.js';

type Order = Omit<StockEvent, 'fact'>;

let shop: StockUnderTest;
beforeAll(async () => {
  shop = await StockUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());
afterEach(() => shop.lag.clear());

/** A ticket type with an order in every standing that the ledger knows. */
async function busyTicketType() {
  const type = await shop.ticketType(20, 4);
  const sold = await shop.claimed(type, 'sold', 3);
  const cancelled = await shop.claimed(type, 'cancelled', 2);
  const again = await shop.claimed(type, 'again', 4);
  await shop.happened('created', sold, cancelled, again);
  await shop.happened('cancelled', cancelled, again);
  await shop.stock.reacquire(again);
  await shop.happened('paid-after-cancellation', again);
  return { type, sold, cancelled, again };
}

const syncRows = (ticketTypeId: string) =>
  shop.database.ledgerEntry.findMany({ where: { ticketTypeId, movement: 'SYNC' } });

describe('rebuilding', () => {
  it('makes a Redis that lost everything equal to the ledger, limits and later lives included', async () => {
    const { type, sold, cancelled, again } = await busyTicketType();
    const before = await shop.stock.audit(type);
    await shop.redis.flushdb();
    expect(await shop.reserve(shop.order(type, 'early'))).toBe('not-ready');
    await shop.verifyStock.execute();
    expect(await shop.stock.audit(type)).toEqual(before);
    expect(await shop.counters(type)).toEqual({ free: 13, held: 0, sold: 7 });
    expect(await shop.reserve(shop.order(type, 'more', 2, 'sold'))).toBe('limit-exceeded');
    // What comes later still works: a rollback, a late payment, a straggler.
    await shop.happened('cancelled', sold);
    expect(await shop.stock.reacquire(cancelled)).toBe('reacquired');
    await shop.happened('cancelled', again);
    expect(await shop.counters(type)).toEqual({ free: 14, held: 0, sold: 6 });
  });

  it.each(['before the last type is', 'after all are'])(
    'knows every ticket type there is, also when Redis is emptied %s verified',
    async (when) => {
      const [one, other] = [await shop.ticketType(5), await shop.ticketType(5)];
      await shop.redis.flushdb();
      const { stock } = shop;
      const [rebuild, setEpoch] = [stock.rebuild.bind(stock), stock.setEpoch.bind(stock)];
      let left = 1;
      const emptied = async () => {
        if (left-- === 1) await shop.redis.flushdb();
      };
      if (when.startsWith('after')) {
        stock.setEpoch = async (...args) => {
          await emptied();
          return setEpoch(...args);
        };
      } else {
        stock.rebuild = async (...args) => {
          const result = await rebuild(...args);
          await emptied();
          return result;
        };
      }
      await shop.verifyStock.execute();
      Object.assign(stock, { rebuild, setEpoch });
      expect(shop.verifyStock.isVerified).toBe(false);
      // The first of all was rebuilt before, the last one perhaps after.
      const answers = [
        await shop.reserve(shop.order(one, `${when} one`)),
        await shop.reserve(shop.order(other, `${when} other`)),
      ];
      expect(answers).not.toContain('unknown-ticket-type');
      await shop.verifyStock.execute();
      expect(shop.verifyStock.isVerified).toBe(true);
      expect(await shop.reserve(shop.order(one, `${when} again`))).toBe('reserved');
    },
  );

  it('leaves one SYNC row and one message where something was lost, and none where nothing was', async () => {
    const { type } = await busyTicketType();
    await shop.redis.del(`stock:{${type}}:counter`);
    await shop.verifyStock.execute();
    await shop.verifyStock.execute();
    expect(await syncRows(type)).toMatchObject([{ quantity: 7 }]);
    const messages = shop.sent.envelopes.filter(
      ({ payload }) => (payload as { ticketTypeId: string }).ticketTypeId === type,
    );
    expect(messages.map(({ payload }) => (payload as { cause?: string }).cause).filter(Boolean)).toEqual([
      'created',
      'rebuilt',
    ]);
  });

  it('keeps the holds that a restarted Redis brought back, and sells nothing before it has looked', async () => {
    const { type } = await busyTicketType();
    const held = await shop.reserved(type, 'held', 2);
    const claimed = await shop.claimed(type, 'claimed', 1);
    await shop.redisServer.crash();
    await shop.redisServer.restart();
    expect(await shop.reserve(shop.order(type, 'early'))).toBe('not-ready');
    await shop.verifyStock.execute();
    expect(shop.verifyStock.isVerified).toBe(true);
    expect(await shop.counters(type)).toEqual({ free: 10, held: 3, sold: 7 });
    // Nothing differs, as nothing would if the last writes were gone: the verdict has to know of the restart.
    expect(await syncRows(type)).toMatchObject([{ quantity: 0 }]);
    expect(await shop.stock.claim(type, [held.orderNo, claimed.orderNo])).toEqual([
      'claimed',
      'already-claimed',
    ]);
    await shop.happened('created', held, claimed);
    expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 10 });
  });

  it.each([
    ['returned', async (again: Order) => shop.happened('refunded', again)],
    [
      'refused when they were taken again',
      async (again: Order) => {
        // Redis had tickets for it, the ledger has none left.
        const type = again.ticketTypeId;
        await shop.database.ticketType.update({ where: { id: type }, data: { sold: 4 } });
        await shop.happened('paid-after-cancellation', again);
        await shop.database.ticketType.update({ where: { id: type }, data: { sold: 0 } });
      },
    ],
  ])('frees tickets that were %s, also in a Redis that has forgotten so', async (what, end) => {
    const type = await shop.ticketType(4, 4);
    const again = await shop.claimed(type, 'again', 4);
    await shop.happened('created', again);
    await shop.happened('cancelled', again);
    await shop.stock.reacquire(again);
    if (what === 'returned') await shop.happened('paid-after-cancellation', again);
    const key = `stock:{${type}}:holds`;
    const forgotten = (await shop.redis.hget(key, again.orderNo)) ?? '';
    await end(again);
    expect(await shop.counters(type)).toEqual({ free: 4, held: 0, sold: 0 });
    // What a crash takes with it: the last second of writes.
    await shop.redis.hset(key, again.orderNo, forgotten);
    await shop.rebuildStock.execute(type);
    expect(await shop.counters(type)).toEqual({ free: 4, held: 0, sold: 0 });
  });

  it('leaves a trace of a restart with nothing sold as well: reservations may be gone', async () => {
    const type = await shop.ticketType(10);
    await shop.reserved(type, 'held', 2);
    await shop.redisServer.crash();
    await shop.redisServer.restart();
    await shop.verifyStock.execute();
    expect(await syncRows(type)).toMatchObject([{ quantity: 0 }]);
    // The trace itself is no order's.
    await shop.rebuildStock.execute(type);
    const holds: string[] = [];
    for await (const page of shop.stock.scanHolds(type)) holds.push(...page.map(({ state }) => state));
    expect(holds).toEqual(['held']);
  });

  it('is not verified from the first look at another run until all of it is', async () => {
    await shop.verifyStock.execute();
    expect(shop.verifyStock.isVerified).toBe(true);
    const type = await shop.ticketType(10);
    await shop.redisServer.crash();
    await shop.redisServer.restart();
    let isVerifiedMeanwhile: boolean | undefined;
    await shop.database.$transaction(async (tx) => {
      await lockTicketTypes(tx, [type]);
      const verifying = shop.verifyStock.execute();
      await until(isWaitingForLock);
      isVerifiedMeanwhile = shop.verifyStock.isVerified;
      void verifying.catch(() => undefined);
    });
    await shop.verifyStock.execute();
    expect(isVerifiedMeanwhile).toBe(false);
    expect(shop.verifyStock.isVerified).toBe(true);
  });

  it('waits for a movement that is being recorded, and has it in its counters', async () => {
    const type = await shop.ticketType(10);
    const order = shop.order(type, 'in the making', 2);
    const seen: string[] = [];
    let rebuilding: Promise<unknown> | undefined;
    await shop.database.$transaction(async (tx) => {
      await lockTicketTypes(tx, [type]);
      rebuilding = shop.rebuildStock.execute(type).then(() => seen.push('rebuilt'));
      await until(async () => seen.length > 0 || (await isWaitingForLock()));
      await tx.ledgerEntry.create({ data: { ...order, movement: 'DEDUCT' } });
      await tx.ticketType.update({ where: { id: type }, data: { sold: 2 } });
      seen.push('recorded');
    });
    await rebuilding;
    expect(seen).toEqual(['recorded', 'rebuilt']);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('repeated while movements are recorded ends where the ledger does, with no rebuild after them', async () => {
    const type = await shop.ticketType(200);
    const orders = Array.from({ length: 60 }, (_, index) => shop.order(type, `order-${index}`));
    await Promise.all([
      ...orders.map((order) => shop.happened('created', order)),
      ...Array.from({ length: 5 }, async () => {
        await shop.redis.del(`stock:{${type}}:counter`, `stock:{${type}}:holds`);
        await shop.rebuildStock.execute(type);
      }),
    ]);
    expect(await shop.ledgerSold(type)).toBe(60);
    expect(await shop.counters(type)).toEqual({ free: 140, held: 0, sold: 60 });
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Whether a statement of ours waits for somebody's rows. */
async function isWaitingForLock(): Promise<boolean> {
  const [row] = await shop.database.$queryRawUnsafe<{ waiting: number }[]>(
    `SELECT count(*)::int AS waiting FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return (row?.waiting ?? 0) > 0;
}

describe('reconciling', () => {
  const drift = async (type: string): Promise<string | undefined> => {
    const metrics = await shop.metrics.registry.metrics();
    return new RegExp(`stock_drift_tickets\\{ticket_type="${type}".*\\} (\\d+)`).exec(metrics)?.[1];
  };

  it.each([
    ['sold', async (type: string) => shop.redis.hincrby(`stock:{${type}}:counter`, 'sold', 2)],
    ['free', async (type: string) => shop.redis.hincrby(`stock:{${type}}:counter`, 'free', 2)],
    [
      'held',
      async (type: string) => {
        await shop.redis.hincrby(`stock:{${type}}:counter`, 'held', -2);
        await shop.redis.hincrby(`stock:{${type}}:counter`, 'free', 2);
      },
    ],
    ['limit', async (type: string) => shop.redis.hincrby(`stock:{${type}}:buyers`, 'sold', -2)],
  ])('reports a planted drift of %s at once and repairs it when it stays', async (_, plant) => {
    const { type } = await busyTicketType();
    await shop.reserved(type, 'held', 3);
    const before = await shop.stock.audit(type);
    await plant(type);
    await shop.reconcileStock.execute();
    expect(await drift(type)).toBe('2');
    expect(await syncRows(type)).toEqual([]);
    await shop.reconcileStock.execute();
    expect(await drift(type)).toBe('0');
    expect(await shop.stock.audit(type)).toEqual(before);
    expect(await syncRows(type)).toHaveLength(1);
    await shop.reconcileStock.execute();
    expect(await syncRows(type)).toHaveLength(1);
  });

  it('leaves a drift alone that waiting messages may explain', async () => {
    const { type } = await busyTicketType();
    await shop.redis.hincrby(`stock:{${type}}:counter`, 'sold', 2);
    shop.lag.set('stock.deduct', 1);
    await shop.reconcileStock.execute();
    await shop.reconcileStock.execute();
    expect(await drift(type)).toBe('2');
    expect((await shop.stock.read(type))?.sold).toBe(9);
  });

  it('reports stock that was re-acquired for an order that never got paid, and keeps it', async () => {
    const { type, cancelled } = await busyTicketType();
    await shop.stock.reacquire(cancelled);
    for (let run = 0; run < 3; run++) await shop.reconcileStock.execute();
    expect(await drift(type)).toBe('2');
    expect(await syncRows(type)).toEqual([]);
    await shop.happened('paid-after-cancellation', cancelled);
    await shop.reconcileStock.execute();
    expect(await drift(type)).toBe('0');
  });
});

describe('shows', () => {
  it('are listed with what Redis has left, or the ledger when Redis is lost', async () => {
    const { type } = await busyTicketType();
    await shop.reserved(type, 'held', 4);
    const remaining = async (): Promise<number | undefined> => {
      shop.listShows.forget();
      const { shows } = await shop.listShows.execute({ limit: 200 });
      const types = shows.flatMap((show) => show.sessions.flatMap((session) => session.ticketTypes));
      return types.find(({ id }) => id === type)?.remaining;
    };
    expect(await remaining()).toBe(9);
    await shop.redis.flushdb();
    expect(await remaining()).toBe(13);
  });

  it('are seeded once, into an empty shop only', async () => {
    expect(await shop.seedShows.execute()).toBe(false);
    await shop.database.ledgerEntry.deleteMany();
    await shop.database.ticketType.deleteMany();
    await shop.database.session.deleteMany();
    await shop.database.show.deleteMany();
    // Two instances start at the same moment.
    const seeded = await Promise.all([shop.seedShows.execute(), shop.seedShows.execute()]);
    expect(seeded.sort()).toEqual([false, true]);
    expect(await shop.database.show.count()).toBe(2);
    expect(await shop.seedShows.execute()).toBe(false);
    await shop.verifyStock.execute();
    shop.listShows.forget();
    const { shows } = await shop.listShows.execute({ limit: 200 });
    expect(shows).toHaveLength(2);
    expect(await shop.reserve(shop.order('ttf1ash00001', 'first'))).toBe('reserved');
  });
});
