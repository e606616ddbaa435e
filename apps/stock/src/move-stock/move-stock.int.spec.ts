import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { HOLD_TIMEOUT_MS, StockUnderTest } from '../testing/stock-under-test.js';

let shop: StockUnderTest;
beforeAll(async () => {
  shop = await StockUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());
afterEach(() => {
  jest.restoreAllMocks();
});

const idsAbout = (orderNo: string): unknown[] =>
  shop.sent.envelopes
    .filter(({ payload }) => (payload as { orderNo?: string }).orderNo === orderNo)
    .map(({ options }) => options.id);

describe('stock movements', () => {
  it('take a purchase from its hold to sold for good, in the ledger and in Redis', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'ann', 2);
    await shop.happened('created', order);
    await shop.happened('paid', order);
    expect(await shop.movements(order.orderNo)).toEqual(['DEDUCT', 'CONFIRM']);
    expect(await shop.ledgerSold(type)).toBe(2);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
    expect(shop.sent.about(order.orderNo)).toEqual(['stock.deduct', 'stock.confirm']);
  });

  it('give a cancelled order back once, and take it again for a late payment', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'ann', 2);
    await shop.happened('created', order);
    await shop.happened('cancelled', order, order);
    expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 0 });
    expect(await shop.stock.reacquire(order)).toBe('reacquired');
    await shop.happened('paid-after-cancellation', order);
    // A straggler of the cancellation must not end the order's second life.
    await shop.happened('cancelled', order);
    await shop.happened('created', order);
    expect(await shop.movements(order.orderNo)).toEqual(['DEDUCT', 'ROLLBACK', 'REACQUIRE', 'CONFIRM']);
    expect(await shop.ledgerSold(type)).toBe(2);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('free the tickets of a paid order whose money went back, once, also those of a late payment', async () => {
    const type = await shop.ticketType(10);
    const [order, late] = [await shop.claimed(type, 'ann', 2), await shop.claimed(type, 'bob', 3)];
    await shop.happened('created', order, late);
    await shop.happened('paid', order);
    await shop.happened('cancelled', late);
    expect(await shop.stock.reacquire(late)).toBe('reacquired');
    await shop.happened('paid-after-cancellation', late);
    expect(await shop.counters(type)).toEqual({ free: 5, held: 0, sold: 5 });
    await shop.happened('refunded', order, late);
    await shop.happened('refunded', order, late);
    await shop.happened('paid', order);
    expect(await shop.movements(order.orderNo)).toEqual(['DEDUCT', 'CONFIRM', 'RETURN']);
    expect(await shop.ledgerSold(type)).toBe(0);
    expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 0 });
    // Told as news: by the id of the rollback before it, the broker would drop it.
    expect(new Set(idsAbout(late.orderNo))).toEqual(
      new Set(['deduct', 'rollback', 'confirm', 'return'].map((what) => `stock.${what}:${late.orderNo}`)),
    );
  });

  it('take the tickets of a late payment once more where Redis has lost that it gave them out', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'ann', 2);
    await shop.happened('created', order);
    await shop.happened('cancelled', order);
    await shop.happened('paid-after-cancellation', order);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
    await shop.happened('cancelled', order);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('reach Redis for every ticket type of a batch', async () => {
    const types = [await shop.ticketType(10), await shop.ticketType(10)];
    const orders = await Promise.all(types.map((type) => shop.claimed(type, 'ann', 2)));
    await shop.happened('created', ...orders);
    for (const type of types) expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('end the same when a cancellation overtakes the creation', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'ann', 2);
    await shop.happened('cancelled', order);
    await shop.happened('created', order);
    expect(await shop.movements(order.orderNo)).toEqual(['DEDUCT', 'ROLLBACK']);
    expect(await shop.ledgerSold(type)).toBe(0);
    expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 0 });
  });

  it('end the same when a payment overtakes the creation', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'ann', 2);
    await shop.happened('paid', order);
    await shop.happened('created', order);
    expect(await shop.movements(order.orderNo)).toEqual(['DEDUCT', 'CONFIRM']);
    expect(await shop.counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('never pass the quantity, however many batches run at once', async () => {
    const type = await shop.ticketType(100, 1_000);
    const orders = Array.from({ length: 400 }, (_, index) => shop.order(type, `b${index}`, 1 + (index % 3)));
    const batches = Array.from({ length: 16 }, (_, first) =>
      // Every order is in two batches: each has to be taken once all the same.
      orders.filter((_, index) => index % 16 === first || index % 16 === (first + 1) % 16),
    );
    await Promise.all(batches.map((batch) => shop.happened('created', ...batch)));
    const sold = await shop.ledgerSold(type);
    expect(sold).toBe(100);
    const rows = await shop.database.ledgerEntry.findMany({ where: { ticketTypeId: type } });
    expect(rows).toHaveLength(400);
    expect(rows.filter((row) => row.movement === 'DEDUCT').reduce((sum, row) => sum + row.quantity, 0)).toBe(
      100,
    );
    expect(await shop.counters(type)).toEqual({ free: 0, held: 0, sold: 100 });
  });

  it('refuse what the ledger has no stock for, and free the hold', async () => {
    const type = await shop.ticketType(2);
    await shop.happened('created', shop.order(type, 'unseen by Redis', 1));
    await shop.redis.hset(`stock:{${type}}:counter`, { free: 2, sold: 0 });
    const order = await shop.claimed(type, 'late', 2);
    await shop.happened('created', order);
    expect(await shop.movements(order.orderNo)).toEqual(['REFUSED']);
    expect(await shop.counters(type)).toEqual({ free: 2, held: 0, sold: 0 });
    const refusal = shop.sent.envelopes.at(-1);
    expect(refusal?.payload).toMatchObject({ orderNo: order.orderNo, outcome: 'refused' });
    await shop.happened('cancelled', order);
    expect(await shop.movements(order.orderNo)).toEqual(['REFUSED']);
    expect(await shop.ledgerSold(type)).toBe(1);
  });

  it('tell of a refusal for every fact that meets it, so that one told too early is not the last', async () => {
    const type = await shop.ticketType(1);
    await shop.happened('created', shop.order(type, 'first'));
    const order = shop.order(type, 'ann');
    await shop.happened('created', order, order);
    // Cancelled before the refusal was heard, and paid late: only a second refusal sends the money back.
    await shop.happened('paid-after-cancellation', order);
    const ids = idsAbout(order.orderNo);
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(2);
  });

  it('reject a batch that names an unknown ticket type, and record nothing of it', async () => {
    const type = await shop.ticketType(5);
    const known = shop.order(type, 'known');
    const stranger = shop.order('tt9999999999', 'stranger');
    await expect(shop.happened('created', known, stranger)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await shop.movements(known.orderNo)).toEqual([]);
    expect(await shop.ledgerSold(type)).toBe(0);
  });

  describe('are made good by redelivery when the process dies', () => {
    const facts = [['created'], ['created', 'cancelled'], ['created', 'paid']] as const;

    it.each(facts)('before Redis is told: %s %s', async (...history) => {
      const type = await shop.ticketType(10);
      const order = await shop.claimed(type, 'ann', 3);
      for (const fact of history) {
        const died = jest.spyOn(shop.mirror, 'apply').mockRejectedValueOnce(new Error('killed'));
        await expect(shop.happened(fact, order)).rejects.toThrow('killed');
        died.mockRestore();
        await shop.happened(fact, order);
      }
      await expectBooksToAgree(type);
      expect(new Set(await shop.movements(order.orderNo)).size).toBe(history.length);
    });

    it('before the shop is told', async () => {
      const type = await shop.ticketType(10);
      const order = await shop.claimed(type, 'ann', 3);
      shop.sent.failNext = true;
      await expect(shop.happened('created', order)).rejects.toThrow('away');
      expect(shop.sent.about(order.orderNo)).toEqual([]);
      await shop.happened('created', order);
      expect(shop.sent.about(order.orderNo)).toEqual(['stock.deduct']);
      await expectBooksToAgree(type);
    });

    it('before it acknowledges, and a cancellation comes between', async () => {
      const type = await shop.ticketType(10);
      const order = await shop.claimed(type, 'ann', 3);
      await shop.happened('created', order);
      await shop.happened('cancelled', order);
      await shop.happened('created', order);
      expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 0 });
      await expectBooksToAgree(type);
    });

    it('while Redis has lost everything: the rebuild completes it', async () => {
      const type = await shop.ticketType(10);
      const order = await shop.claimed(type, 'ann', 3);
      await shop.redis.flushdb();
      await shop.happened('created', order);
      await shop.verifyStock.execute();
      expect(await shop.counters(type)).toEqual({ free: 7, held: 0, sold: 3 });
      await shop.happened('cancelled', order);
      expect(await shop.counters(type)).toEqual({ free: 10, held: 0, sold: 0 });
    });
  });
});

it('tickets that Redis gave a late payment and the ledger refuses are back on sale', async () => {
  const type = await shop.ticketType(2);
  const late = await shop.claimed(type, 'late', 2);
  await shop.happened('created', late);
  await shop.happened('cancelled', late);
  expect(await shop.stock.reacquire(late)).toBe('reacquired');
  // The ledger knows of a sale that Redis has lost.
  await shop.database.ticketType.update({ where: { id: type }, data: { sold: 1 } });
  await shop.happened('paid-after-cancellation', late);
  expect(await shop.movements(late.orderNo)).toEqual(['DEDUCT', 'ROLLBACK', 'REFUSED']);
  expect(await shop.counters(type)).toEqual({ free: 2, held: 0, sold: 0 });
  expect(await shop.stock.reacquire(late)).toBe('reacquired');
});

describe('the reaper', () => {
  it('frees what was reserved and never sent, and leaves what the order service has claimed', async () => {
    const type = await shop.ticketType(10);
    const unsent = await shop.reserved(type, 'unsent', 3);
    const claimed = await shop.claimed(type, 'claimed', 2);
    await shop.reapHolds.execute();
    expect(await shop.counters(type)).toEqual({ free: 5, held: 5, sold: 0 });
    shop.redisClock.aheadMs = HOLD_TIMEOUT_MS + 1;
    await shop.reapHolds.execute();
    shop.redisClock.aheadMs = 0;
    expect(await shop.counters(type)).toEqual({ free: 8, held: 2, sold: 0 });
    expect(await shop.stock.claim(type, [unsent.orderNo, claimed.orderNo])).toEqual([
      'gone',
      'already-claimed',
    ]);
    expect(await shop.metrics.registry.metrics()).toMatch(/stock_holds_reaped_total\{.*\} 1/);
  });

  it('goes by no clock but that of Redis: its own may be wrong by more than a hold lasts', async () => {
    const type = await shop.ticketType(10);
    await shop.reserved(type, 'held', 3);
    shop.clock.aheadMs = 2 * HOLD_TIMEOUT_MS;
    await shop.reapHolds.execute();
    expect((await shop.counters(type)).held).toBe(3);
    shop.clock.aheadMs = -2 * HOLD_TIMEOUT_MS;
    shop.redisClock.aheadMs = HOLD_TIMEOUT_MS + 1;
    await shop.reapHolds.execute();
    shop.clock.aheadMs = shop.redisClock.aheadMs = 0;
    expect((await shop.counters(type)).held).toBe(0);
  });

  describe('leaves an expired hold', () => {
    const afterExpiry = async (type: string): Promise<number> => {
      shop.redisClock.aheadMs = HOLD_TIMEOUT_MS + 60_000;
      await shop.reapHolds.execute();
      shop.redisClock.aheadMs = 0;
      return (await shop.counters(type)).held;
    };
    afterEach(() => {
      shop.queue.progress = (nowMs) => ({ doneBeforeMs: nowMs, waiting: new Set() });
    });

    it('whose message may be in the queue, and frees it once the queue is past it', async () => {
      const type = await shop.ticketType(10);
      await shop.reserved(type, 'queued', 3);
      shop.queue.progress = (nowMs) => ({ doneBeforeMs: nowMs - HOLD_TIMEOUT_MS, waiting: new Set() });
      expect(await afterExpiry(type)).toBe(3);
      shop.queue.progress = (nowMs) => ({ doneBeforeMs: nowMs, waiting: new Set() });
      expect(await afterExpiry(type)).toBe(0);
    });

    it('whose message is a dead letter, and frees those beside it, however many they are', async () => {
      const type = await shop.ticketType(1_200);
      const dead = await shop.reserved(type, 'dead', 2);
      await Promise.all(Array.from({ length: 600 }, (_, index) => shop.reserved(type, `unsent-${index}`)));
      shop.queue.progress = (nowMs) => ({ doneBeforeMs: nowMs, waiting: new Set([dead.orderNo]) });
      expect(await afterExpiry(type)).toBe(2);
      expect(await shop.stock.claim(type, [dead.orderNo])).toEqual(['claimed']);
    });

    it('when the broker cannot tell, or does not answer', async () => {
      const type = await shop.ticketType(10);
      await shop.reserved(type, 'queued', 3);
      shop.queue.progress = () => undefined;
      expect(await afterExpiry(type)).toBe(3);
      shop.queue.progress = () => {
        throw new Error('the broker is away');
      };
      await expect(afterExpiry(type)).rejects.toThrow('away');
      shop.redisClock.aheadMs = 0;
      expect((await shop.counters(type)).held).toBe(3);
    });
  });
});

describe('claimed holds that no order was written for', () => {
  afterEach(() => {
    shop.queue.isQuiet = true;
  });
  const metric = async (name: string, labels = '\\{'): Promise<string | undefined> =>
    new RegExp(`${name}${labels}[^}]*\\} (\\d+)`).exec(await shop.metrics.registry.metrics())?.[1];

  const found = (type: string): Promise<string | undefined> =>
    metric(`stock_orphaned_holds\\{ticket_type="${type}"`, '');

  it('are reported at once, released when they stay, and counted', async () => {
    const type = await shop.ticketType(10);
    const orphan = await shop.claimed(type, 'orphan', 3);
    const unsent = await shop.reserved(type, 'unsent', 2);
    const released = Number(await metric('stock_orphaned_holds_released_total'));
    await shop.releaseOrphans.execute();
    expect(await shop.counters(type)).toEqual({ free: 5, held: 5, sold: 0 });
    expect(await found(type)).toBe('1');
    await shop.releaseOrphans.execute();
    expect(await shop.counters(type)).toEqual({ free: 8, held: 2, sold: 0 });
    expect(Number(await metric('stock_orphaned_holds_released_total'))).toBeGreaterThan(released);
    expect(await found(type)).toBe('0');
    // Who comes late after all is refused, and who was not claimed is the reaper's.
    expect(await shop.stock.claim(type, [orphan.orderNo, unsent.orderNo])).toEqual(['gone', 'claimed']);
    await shop.stock.release(type, [unsent], 'rollback');
  });

  it('are none that were claimed only while it was asked whether anything is on its way', async () => {
    const type = await shop.ticketType(10);
    await shop.claimed(type, 'orphan', 3);
    const claimed = shop.stock.claimed.bind(shop.stock);
    let asked = 0;
    jest.spyOn(shop.stock, 'claimed').mockImplementation(async (id) => {
      if (id === type && ++asked === 2) await shop.claimed(type, 'just now', 2);
      return claimed(id);
    });
    await shop.releaseOrphans.execute();
    expect(await found(type)).toBe('1');
    await shop.releaseOrphans.execute();
    expect(await shop.counters(type)).toEqual({ free: 8, held: 2, sold: 0 });
  });

  it('are nothing that is still on its way', async () => {
    const type = await shop.ticketType(10);
    const order = await shop.claimed(type, 'order', 3);
    shop.queue.isQuiet = false;
    for (let run = 0; run < 3; run++) await shop.releaseOrphans.execute();
    expect(await shop.counters(type)).toEqual({ free: 7, held: 3, sold: 0 });
    shop.queue.isQuiet = true;
    await shop.releaseOrphans.execute();
    await shop.happened('created', order);
    await shop.releaseOrphans.execute();
    expect(await shop.counters(type)).toEqual({ free: 7, held: 0, sold: 3 });
  });
});

async function expectBooksToAgree(ticketTypeId: string): Promise<void> {
  const sold = await shop.ledgerSold(ticketTypeId);
  const counters = await shop.counters(ticketTypeId);
  expect(counters.sold).toBe(sold);
  expect(counters.held).toBe(0);
}
