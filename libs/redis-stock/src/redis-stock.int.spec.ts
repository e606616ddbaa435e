import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type TestRedis } from '#libs/service-kit/testing';
import {
  newTicketTypeId,
  orderNoFor,
  RedisStock,
  type ReserveAnswer,
  type StoredHold,
  type TicketTypeSnapshot,
} from './index.js';
import { defineStockScripts } from './scripts.js';
import { stockKeys } from './stock-keys.js';

const NOW_MS = 1_763_688_920_000;
const HOLD_MS = 600_000;

let server: TestRedis;
let redis: Redis;
let stock: RedisStock;
let ticketTypeId: string;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {
    // Expected while the server is down.
  });
  stock = new RedisStock(redis);
}, 30_000);
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(() => {
  ticketTypeId = newTicketTypeId();
});

const order = (name: string, quantity = 1, buyerId = name) => ({
  orderNo: orderNoFor({ buyerId, idempotencyKey: name, ticketTypeId, quantity }, NOW_MS),
  quantity,
  buyerId,
});
type TestOrder = ReturnType<typeof order>;

async function onSale(options: Partial<TicketTypeSnapshot> = {}): Promise<void> {
  await stock.rebuild(
    {
      ticketTypeId,
      initial: 10,
      unitPriceMinor: 4_950,
      currency: 'EUR',
      perUserLimit: 4,
      saleOpensAtMs: NOW_MS - 1,
      saleClosesAtMs: Number.MAX_SAFE_INTEGER,
      orders: [],
      ...options,
    },
    NOW_MS,
  );
  await stock.setEpoch(await stock.runId(), await stock.beginVerifying());
}

const reserve = (wanted: TestOrder, nowMs = NOW_MS): Promise<ReserveAnswer> =>
  stock.reserve({ ...wanted, ticketTypeId, nowMs, holdTimeoutMs: HOLD_MS });

async function reserved(...orders: TestOrder[]): Promise<void> {
  for (const wanted of orders) expect(await reserve(wanted)).toMatchObject({ outcome: 'reserved' });
}

async function sold(...orders: TestOrder[]): Promise<void> {
  await reserved(...orders);
  await stock.claim(
    ticketTypeId,
    orders.map(({ orderNo }) => orderNo),
  );
  await stock.markSold(ticketTypeId, orders);
}

async function counters(): Promise<{ free: number; held: number; sold: number }> {
  const now = await stock.read(ticketTypeId);
  if (now === undefined) throw new Error('no counters');
  expect(now.free + now.held + now.sold).toBe(now.initial);
  const audit = await stock.audit(ticketTypeId);
  expect(audit?.holds).toEqual({ held: now.held, sold: now.sold, charged: now.held + now.sold });
  return { free: now.free, held: now.held, sold: now.sold };
}

const stateOf = async (wanted: TestOrder) => (await stock.hold(wanted.orderNo))?.state;

async function reap(nowMs: number, limit = 10): Promise<string[]> {
  const expired = await stock.expired(ticketTypeId, nowMs, limit);
  return stock.reap(ticketTypeId, expired, nowMs, nowMs);
}

describe('reserve', () => {
  it('takes the tickets, and says the place in the queue and the price in the same call', async () => {
    await onSale();
    expect(await reserve(order('a', 2))).toEqual({
      outcome: 'reserved',
      orderNo: order('a', 2).orderNo,
      position: 1,
      state: 'held',
      unitPriceMinor: 4_950,
      currency: 'EUR',
      saleClosesAtMs: Number.MAX_SAFE_INTEGER,
    });
    expect(await reserve(order('b', 3))).toMatchObject({ outcome: 'reserved', position: 2 });
    expect(await counters()).toEqual({ free: 5, held: 5, sold: 0 });
  });

  it('answers a repeat from the first reservation and takes nothing again', async () => {
    await onSale();
    const first = order('a', 2);
    await reserved(first, order('b'));
    expect(await reserve(first)).toMatchObject({ outcome: 'replayed', position: 1, state: 'held' });
    await stock.claim(ticketTypeId, [first.orderNo]);
    expect(await reserve(first)).toMatchObject({ outcome: 'replayed', position: 0, state: 'claimed' });
    await stock.markSold(ticketTypeId, [first]);
    expect(await reserve(first)).toMatchObject({ outcome: 'replayed', position: 0, state: 'sold' });
    await stock.release(ticketTypeId, [first], 'rollback');
    expect(await reserve(first)).toMatchObject({ outcome: 'replayed', position: 0, state: 'released' });
    expect(await counters()).toEqual({ free: 9, held: 1, sold: 0 });
  });

  it('gives a repeated reservation its full time again, because it is sent again', async () => {
    await onSale();
    const late = order('late');
    await reserved(late);
    await reserve(late, NOW_MS + HOLD_MS - 1);
    expect(await reap(NOW_MS + HOLD_MS)).toEqual([]);
    expect((await stock.hold(late.orderNo))?.expiresAtMs).toBe(NOW_MS + 2 * HOLD_MS - 1);
  });

  it('goes by the clock of Redis, which all callers share, for the sale and for the hold', async () => {
    await onSale({ saleOpensAtMs: 0 });
    const { orderNo, ...rest } = order('a');
    const [before, , after] = [
      Date.now(),
      await stock.reserve({ orderNo, ...rest, ticketTypeId, holdTimeoutMs: HOLD_MS }),
      Date.now(),
    ];
    const hold = await stock.hold(orderNo);
    expect(hold?.heldAtMs).toBeGreaterThanOrEqual(before - 1);
    expect(hold?.heldAtMs).toBeLessThanOrEqual(after + 1);
    expect(hold?.expiresAtMs).toBe((hold?.heldAtMs ?? NaN) + HOLD_MS);
    const nowMs = await stock.nowMs();
    expect(nowMs).toBeGreaterThanOrEqual(hold?.heldAtMs ?? NaN);
    await stock.reap(ticketTypeId, [orderNo], (hold?.expiresAtMs ?? NaN) + 1);
    const holds: StoredHold[] = [];
    for await (const page of stock.scanHolds(ticketTypeId)) holds.push(...page);
    const [stored] = holds;
    expect(stored?.state).toBe('released');
    expect(stored?.dueMs).toBeGreaterThanOrEqual(nowMs);
    expect(stored?.dueMs).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('finds a request under its other numbers, unless that hold is too old to answer for it', async () => {
    await onSale();
    const [yesterday, today] = [order('yesterday'), order('today')];
    await reserved(yesterday);
    const again = (nowMs: number): Promise<ReserveAnswer> =>
      stock.reserve({
        ...today,
        ...{ ticketTypeId, nowMs, holdTimeoutMs: HOLD_MS },
        otherOrderNos: [yesterday.orderNo, order('never').orderNo],
      });
    expect(await again(NOW_MS + 86_400_000)).toMatchObject({
      ...{ outcome: 'replayed', orderNo: yesterday.orderNo },
    });
    expect(await counters()).toEqual({ free: 9, held: 1, sold: 0 });
    expect(await again(NOW_MS + 86_400_001)).toMatchObject({ outcome: 'reserved', orderNo: today.orderNo });
  });

  it('refuses when fewer tickets are free than wanted', async () => {
    await onSale({ initial: 3 });
    await reserved(order('a', 2));
    expect(await reserve(order('b', 2))).toEqual({ outcome: 'sold-out' });
    expect(await reserve(order('b', 1))).toMatchObject({ outcome: 'reserved' });
    expect(await reserve(order('c', 1))).toEqual({ outcome: 'sold-out' });
  });

  it("refuses more than the buyer's limit over all orders, and gives released tickets back to it", async () => {
    await onSale();
    expect(await reserve(order('big', 5, 'ann'))).toEqual({ outcome: 'limit-exceeded' });
    const first = order('one', 3, 'ann');
    await reserved(first);
    expect(await reserve(order('two', 2, 'ann'))).toEqual({ outcome: 'limit-exceeded' });
    await reserved(order('three', 1, 'ann'), order('four', 4, 'bob|with|bars'));
    await stock.release(ticketTypeId, [first], 'rollback');
    await reserved(order('five', 3, 'ann'));
    expect((await stock.hold(order('four', 4, 'bob|with|bars').orderNo))?.buyerId).toBe('bob|with|bars');
  });

  it('refuses before the sale opens', async () => {
    await onSale({ saleOpensAtMs: NOW_MS + 1 });
    expect(await reserve(order('early'))).toEqual({ outcome: 'sale-not-open' });
    expect(await reserve(order('early'), NOW_MS + 1)).toMatchObject({ outcome: 'reserved' });
  });

  it('refuses once the sale is over, and still answers who had reserved before', async () => {
    await onSale({ saleClosesAtMs: NOW_MS + 1 });
    const early = order('early');
    await reserved(early);
    expect(await reserve(order('late'), NOW_MS + 1)).toEqual({ outcome: 'sale-over' });
    expect(await reserve(early, NOW_MS + 1)).toMatchObject({ outcome: 'replayed', state: 'held' });
  });

  it('sells nothing from counters of before sales had an end, until they are verified', async () => {
    await onSale();
    await redis.hdel(stockKeys(ticketTypeId).counter, 'closesAt');
    expect(await reserve(order('a'))).toEqual({ outcome: 'not-ready' });
    expect(await stock.unverified([ticketTypeId])).toEqual([ticketTypeId]);
  });

  it('tells an unknown ticket type from lost counters', async () => {
    await onSale();
    const known = ticketTypeId;
    ticketTypeId = newTicketTypeId();
    expect(await reserve(order('a'))).toEqual({ outcome: 'unknown-ticket-type' });
    ticketTypeId = known;
    await redis.del(stockKeys(known).counter);
    expect(await reserve(order('a'))).toEqual({ outcome: 'not-ready' });
    await redis.flushdb();
    ticketTypeId = newTicketTypeId();
    expect(await reserve(order('a'))).toEqual({ outcome: 'not-ready' });
  });

  // A shared server is not killed.
  it('sells nothing after Redis restarted until the counters are verified', async () => {
    await onSale();
    const before = order('before');
    await reserved(before);
    await server.crash();
    await server.restart();
    expect(await reserve(order('after'))).toEqual({ outcome: 'not-ready' });
    expect(await stock.unverified([ticketTypeId])).toEqual([ticketTypeId]);
    await onSale();
    expect(await stock.unverified([ticketTypeId])).toEqual([]);
    expect(await reserve(before)).toMatchObject({ outcome: 'replayed', state: 'held' });
    expect(await reserve(order('after'))).toMatchObject({ outcome: 'reserved', position: 2 });
  });

  it('sells exactly the stock to 2,000 callers at once', async () => {
    await onSale({ initial: 100, perUserLimit: 2 });
    const callers = Array.from({ length: 2_000 }, (_, index) =>
      order(`order-${index}`, 1 + (index % 2), `buyer-${index % 700}`),
    );
    const answers = await Promise.all(callers.map((caller) => reserve(caller)));
    const winners = callers.filter((_, index) => answers[index]?.outcome === 'reserved');
    expect(winners.reduce((sum, winner) => sum + winner.quantity, 0)).toBe(100);
    expect(await counters()).toEqual({ free: 0, held: 100, sold: 0 });
    const perBuyer = new Map<string, number>();
    for (const { buyerId, quantity } of winners)
      perBuyer.set(buyerId, (perBuyer.get(buyerId) ?? 0) + quantity);
    expect(Math.max(...perBuyer.values())).toBeLessThanOrEqual(2);
  });
});

describe('claim', () => {
  it('claims a hold once, and finds released and unknown ones gone', async () => {
    await onSale();
    const [a, b] = [order('a'), order('b')];
    await reserved(a, b);
    await stock.release(ticketTypeId, [b.orderNo], 'rollback');
    const all = [a.orderNo, b.orderNo, order('never').orderNo];
    expect(await stock.claim(ticketTypeId, all)).toEqual(['claimed', 'gone', 'gone']);
    expect(await stock.claim(ticketTypeId, all)).toEqual(['already-claimed', 'gone', 'gone']);
    await stock.markSold(ticketTypeId, [a]);
    expect(await stock.claim(ticketTypeId, [a.orderNo])).toEqual(['already-claimed']);
  });

  it('moves the queue on', async () => {
    await onSale();
    const waiting = [order('a'), order('b'), order('c')];
    await reserved(...waiting);
    await stock.claim(ticketTypeId, [order('a').orderNo, order('b').orderNo]);
    expect((await stock.hold(order('c').orderNo))?.position).toBe(1);
    expect(await reserve(order('d'))).toMatchObject({ position: 2 });
  });

  it('says nothing about holds while the counters are lost', async () => {
    await expect(stock.claim(ticketTypeId, [order('a').orderNo])).rejects.toMatchObject({
      code: 'STOCK_NOT_READY',
      kind: 'transient',
    });
    expect(await stock.claim(ticketTypeId, [])).toEqual([]);
  });
});

describe('reap', () => {
  it('releases expired unclaimed holds only, as many as asked, and remembers them', async () => {
    await onSale();
    const [a, b, c] = [order('a', 2), order('b'), order('c')];
    await reserved(a, b, c);
    await stock.claim(ticketTypeId, [b.orderNo]);
    expect(await reap(NOW_MS + HOLD_MS - 1)).toEqual([]);
    const first = await reap(NOW_MS + HOLD_MS, 1);
    const second = await reap(NOW_MS + HOLD_MS);
    expect([...first, ...second].sort()).toEqual([a.orderNo, c.orderNo].sort());
    expect(first).toHaveLength(1);
    expect(await counters()).toEqual({ free: 9, held: 1, sold: 0 });
    expect(await reserve(a)).toMatchObject({ outcome: 'replayed', state: 'released' });
  });

  it('leaves a hold that was claimed, or asked for again, after it was found expired', async () => {
    await onSale();
    const [claimed, again, gone] = [order('claimed'), order('again'), order('gone')];
    await reserved(claimed, again, gone);
    const atMs = NOW_MS + HOLD_MS;
    const expired = await stock.expired(ticketTypeId, atMs, 10);
    expect(expired).toHaveLength(3);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    await reserve(again, atMs);
    expect(await stock.reap(ticketTypeId, expired, atMs, atMs)).toEqual([gone.orderNo]);
  });

  it('is shown holds that wait for their claim, with their present end, and no others', async () => {
    await onSale({ perUserLimit: 10 });
    const [waits, again, claimed, adopted, released] = [
      ...[order('waits'), order('again'), order('claimed'), order('adopted'), order('released')],
    ] as [TestOrder, TestOrder, TestOrder, TestOrder, TestOrder];
    await reserved(waits, again, claimed, adopted, released);
    await reserve(again, NOW_MS + 1);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    await stock.markSold(ticketTypeId, [adopted]);
    await stock.release(ticketTypeId, [released], 'rollback');
    expect(await stock.expired(ticketTypeId, NOW_MS + HOLD_MS, 10)).toEqual([waits.orderNo]);
    expect(await stock.expired(ticketTypeId, NOW_MS + HOLD_MS + 1, 10)).toEqual([
      waits.orderNo,
      again.orderNo,
    ]);
  });

  it('forgets its own tombstones after a day, and none of an order that lives again', async () => {
    await onSale();
    const [reaped, again, later] = [order('reaped'), order('again'), order('later')];
    await reserved(reaped, again, later);
    await stock.release(ticketTypeId, [again, later], 'rollback', NOW_MS);
    await stock.reacquire(again, NOW_MS);
    await stock.markSold(ticketTypeId, [{ ...later, reacquired: true }], NOW_MS);
    expect(await reap(NOW_MS + HOLD_MS)).toEqual([reaped.orderNo]);
    await reap(NOW_MS + HOLD_MS + 86_400_000);
    expect(await Promise.all([reaped, again, later].map(stateOf))).toEqual([
      undefined,
      'reacquired',
      'reacquired',
    ]);
  });

  it('forgets tombstones after a day', async () => {
    await onSale();
    const gone = order('gone');
    await reserved(gone);
    await stock.release(ticketTypeId, [gone], 'rollback', NOW_MS);
    await reap(NOW_MS + 86_399_999);
    expect(await stateOf(gone)).toBe('released');
    await reap(NOW_MS + 86_400_000);
    expect(await stateOf(gone)).toBeUndefined();
  });

  it('never takes a hold that was claimed, whichever comes first', async () => {
    await onSale({ initial: 200, perUserLimit: 200 });
    const raced = Array.from({ length: 200 }, (_, index) => order(`order-${index}`));
    await reserved(...raced);
    const reaps: Promise<string[]>[] = [];
    const claims = raced.map(({ orderNo }, index) => {
      if (index % 10 === 5) {
        // Found expired before: some of them are claimed by now, some will be in a moment.
        const found = raced.slice(index - 3, index + 4).map((each) => each.orderNo);
        reaps.push(stock.reap(ticketTypeId, found, NOW_MS + HOLD_MS, NOW_MS + HOLD_MS));
      }
      return stock.claim(ticketTypeId, [orderNo]);
    });
    const answers = (await Promise.all(claims)).flat();
    const taken = new Set((await Promise.all(reaps)).flat());
    expect(answers).toEqual(raced.map(({ orderNo }) => (taken.has(orderNo) ? 'gone' : 'claimed')));
    expect(taken.size).toBeGreaterThan(0);
    expect(taken.size).toBeLessThan(200);
    expect(await counters()).toEqual({ free: taken.size, held: 200 - taken.size, sold: 0 });
  });

  it('does nothing while the counters are lost', async () => {
    expect(await stock.reap(ticketTypeId, [order('a').orderNo], NOW_MS, NOW_MS)).toEqual([]);
  });
});

describe('mark sold', () => {
  it('sells held and claimed orders once', async () => {
    await onSale();
    const [a, b] = [order('a', 2), order('b')];
    await reserved(a, b);
    await stock.claim(ticketTypeId, [a.orderNo]);
    expect(await stock.markSold(ticketTypeId, [a, b])).toEqual(['marked', 'marked']);
    expect(await stock.markSold(ticketTypeId, [a, a, b])).toEqual([
      'already-sold',
      'already-sold',
      'already-sold',
    ]);
    expect(await counters()).toEqual({ free: 7, held: 0, sold: 3 });
    expect(await reap(NOW_MS + HOLD_MS)).toEqual([]);
    expect(await reserve(order('c'))).toMatchObject({ position: 1 });
  });

  it('leaves a released order released, unless the ledger says it was re-acquired', async () => {
    await onSale();
    const late = order('late', 2);
    await reserved(late);
    await stock.release(ticketTypeId, [late], 'rollback');
    expect(await stock.markSold(ticketTypeId, [late])).toEqual(['released']);
    expect(await counters()).toEqual({ free: 10, held: 0, sold: 0 });
    expect(await stock.markSold(ticketTypeId, [{ ...late, reacquired: true }])).toEqual(['marked']);
    expect(await stateOf(late)).toBe('reacquired');
    expect(await counters()).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('adopts an order that Redis has lost', async () => {
    await onSale();
    expect(await stock.markSold(ticketTypeId, [order('lost', 3, 'ann')])).toEqual(['adopted']);
    expect(await counters()).toEqual({ free: 7, held: 0, sold: 3 });
    expect(await reserve(order('more', 2, 'ann'))).toEqual({ outcome: 'limit-exceeded' });
  });

  it('leaves it to the rebuild while the counters are lost', async () => {
    expect(await stock.markSold(ticketTypeId, [order('a')])).toBeUndefined();
  });
});

describe('release', () => {
  it('gives the tickets of held, claimed and sold orders back, once', async () => {
    await onSale();
    const [a, b, c] = [order('a'), order('b', 2), order('c', 3)];
    await sold(c);
    await reserved(a, b);
    await stock.claim(ticketTypeId, [b.orderNo]);
    expect(await stock.release(ticketTypeId, [a, b, c], 'rollback')).toEqual([
      'released',
      'released',
      'released',
    ]);
    expect(await stock.release(ticketTypeId, [a, b, c], 'rollback')).toEqual(
      Array(3).fill('already-released'),
    );
    expect(await counters()).toEqual({ free: 10, held: 0, sold: 0 });
  });

  it('does not end the later life of a re-acquired order, unless the ledger refused that', async () => {
    await onSale();
    const again = order('again', 2);
    await sold(again);
    await stock.release(ticketTypeId, [again], 'rollback');
    await stock.reacquire(again);
    expect(await stock.release(ticketTypeId, [again], 'rollback')).toEqual(['kept']);
    expect(await counters()).toEqual({ free: 8, held: 0, sold: 2 });
    expect(await stock.release(ticketTypeId, [again], 'refused')).toEqual(['released']);
    expect(await counters()).toEqual({ free: 10, held: 0, sold: 0 });
  });

  it('forgets an order that was never sent, so that the buyer may try again', async () => {
    await onSale();
    const unsent = order('unsent', 2);
    await reserved(unsent);
    expect(await stock.release(ticketTypeId, [unsent.orderNo], 'unclaimed')).toEqual(['released']);
    expect(await stock.release(ticketTypeId, [unsent.orderNo], 'unclaimed')).toEqual(['unknown']);
    expect(await counters()).toEqual({ free: 10, held: 0, sold: 0 });
    expect(await reserve(unsent)).toMatchObject({ outcome: 'reserved', position: 1 });
  });

  it('keeps a hold that somebody else may have sent, or that is claimed', async () => {
    await onSale();
    const [twice, claimed] = [order('twice'), order('claimed')];
    await reserved(twice, claimed);
    await reserve(twice);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    expect(await stock.release(ticketTypeId, [twice.orderNo, claimed.orderNo], 'unclaimed')).toEqual([
      'kept',
      'kept',
    ]);
    expect(await counters()).toEqual({ free: 8, held: 2, sold: 0 });
  });

  it('forgets a hold that nobody will ever send, even when it was asked for twice', async () => {
    await onSale();
    const [twice, claimed] = [order('twice'), order('claimed')];
    await reserved(twice, claimed);
    await reserve(twice);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    expect(await stock.release(ticketTypeId, [twice, claimed], 'abandoned')).toEqual(['released', 'kept']);
    expect(await stateOf(twice)).toBeUndefined();
    expect(await counters()).toEqual({ free: 9, held: 1, sold: 0 });
  });

  it('leaves a tombstone for an order that Redis does not know', async () => {
    await onSale();
    const early = order('early', 2);
    expect(await stock.release(ticketTypeId, [early], 'rollback')).toEqual(['unknown']);
    expect(await stock.markSold(ticketTypeId, [early])).toEqual(['released']);
    expect(await stock.claim(ticketTypeId, [early.orderNo])).toEqual(['gone']);
    expect(await counters()).toEqual({ free: 10, held: 0, sold: 0 });
    expect(await stock.reacquire(early)).toBe('reacquired');
  });

  it('leaves it to the rebuild while the counters are lost', async () => {
    expect(await stock.release(ticketTypeId, [order('a')], 'rollback')).toBeUndefined();
  });
});

describe('re-acquire', () => {
  it('takes the tickets of a released order again, once', async () => {
    await onSale();
    const late = order('late', 2);
    await sold(late);
    await stock.release(ticketTypeId, [late], 'rollback');
    expect(await stock.reacquire(late)).toBe('reacquired');
    expect(await stock.reacquire(late)).toBe('reacquired');
    expect(await counters()).toEqual({ free: 8, held: 0, sold: 2 });
    expect(await stock.markSold(ticketTypeId, [{ ...late, reacquired: true }])).toEqual(['already-sold']);
  });

  it('waits for a rollback that is still on its way', async () => {
    await onSale();
    const [held, claimed, done] = [order('held'), order('claimed'), order('done')];
    await sold(done);
    await reserved(held, claimed);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    for (const early of [held, claimed, done]) expect(await stock.reacquire(early)).toBe('not-released-yet');
  });

  it('refuses when too few tickets are free', async () => {
    await onSale({ initial: 4 });
    const late = order('late', 2, 'ann');
    await reserved(late);
    await stock.release(ticketTypeId, [late], 'rollback');
    await reserved(order('other', 3, 'bob'));
    expect(await stock.reacquire(late)).toBe('not-enough');
    expect(await counters()).toEqual({ free: 1, held: 3, sold: 0 });
  });

  it('refuses when the buyer has used up the limit since, with plenty of tickets free', async () => {
    await onSale({ initial: 100 });
    const late = order('late', 2, 'ann');
    await reserved(late);
    await stock.release(ticketTypeId, [late], 'rollback');
    const more = order('more', 3, 'ann');
    await reserved(more);
    expect(await stock.reacquire(late)).toBe('not-enough');
    expect(await counters()).toEqual({ free: 97, held: 3, sold: 0 });
    await stock.release(ticketTypeId, [more], 'rollback');
    expect(await stock.reacquire(late)).toBe('reacquired');
  });

  it("counts re-acquired tickets against the buyer's limit", async () => {
    await onSale({ initial: 100 });
    const late = order('late', 3, 'ann');
    await reserved(late);
    await stock.release(ticketTypeId, [late], 'rollback');
    await stock.reacquire(late);
    expect(await reserve(order('more', 2, 'ann'))).toEqual({ outcome: 'limit-exceeded' });
  });

  it('takes no tickets once the sale is over', async () => {
    await onSale({ saleClosesAtMs: NOW_MS + 1 });
    const [late, later] = [order('late'), order('later')];
    await sold(late, later);
    await stock.release(ticketTypeId, [late, later], 'rollback');
    expect(await stock.reacquire(late, NOW_MS)).toBe('reacquired');
    expect(await stock.reacquire(late, NOW_MS + 1)).toBe('reacquired');
    expect(await stock.reacquire(later, NOW_MS + 1)).toBe('sale-over');
    expect(await counters()).toEqual({ free: 9, held: 0, sold: 1 });
  });

  it('takes them for what was paid before the end of the sale, told late, until the session begins', async () => {
    await onSale({ saleClosesAtMs: NOW_MS + 1, startsAtMs: NOW_MS + 100 });
    const [late, later] = [order('late'), order('later')];
    await sold(late, later);
    await stock.release(ticketTypeId, [late, later], 'rollback');
    const at = (wanted: TestOrder, paidAtMs: number, nowMs: number) =>
      stock.reacquire({ ...wanted, paidAtMs }, nowMs);
    expect(await at(late, NOW_MS + 1, NOW_MS + 50)).toBe('sale-over');
    expect(await at(late, NOW_MS, NOW_MS + 99)).toBe('reacquired');
    expect(await at(later, NOW_MS, NOW_MS + 100)).toBe('sale-over');
    // Of a clock that is ahead: it was paid by now.
    expect(await at(later, NOW_MS + 1_000, NOW_MS)).toBe('reacquired');
  });

  it('finds an unknown order gone, and cannot say while the counters are lost', async () => {
    await expect(stock.reacquire(order('a'))).rejects.toMatchObject({ code: 'STOCK_NOT_READY' });
    await onSale();
    expect(await stock.reacquire(order('a'))).toBe('gone');
  });
});

describe('scan', () => {
  it('reads every hold and what the buyers are charged, however many', async () => {
    await onSale({ initial: 5_000, perUserLimit: 5_000 });
    const orders = Array.from({ length: 2_500 }, (_, index) =>
      order(`order-${index}`, 1, `buyer|${index % 7}`),
    );
    await sold(...orders);
    await reserved(order('held', 2));
    await stock.release(ticketTypeId, orders.slice(0, 3), 'rollback');
    const states = new Map<string, string>();
    for await (const page of stock.scanHolds(ticketTypeId)) {
      for (const { orderNo, quantity, buyerId, state } of page) {
        states.set(orderNo, `${state} ${quantity} ${buyerId}`);
      }
    }
    expect(states.size).toBe(2_501);
    expect(states.get(orders[0]?.orderNo ?? '')).toBe('released 1 buyer|0');
    expect(states.get(orders[3]?.orderNo ?? '')).toBe('sold 1 buyer|3');
    expect(states.get(order('held', 2).orderNo)).toMatch(/^held 2 /);
    expect(await stock.charged(ticketTypeId)).toBe(2_499);
  });
});

describe('rebuild', () => {
  const known = (name: string, standing: 'sold' | 'reacquired' | 'released', quantity = 1) => ({
    ...order(name, quantity),
    standing,
    atMs: NOW_MS,
  });

  it('makes lost counters, limits and holds anew, so that whatever follows still works', async () => {
    await onSale({
      orders: [known('sold', 'sold', 3), known('again', 'reacquired', 2), known('gone', 'released')],
    });
    expect(await counters()).toEqual({ free: 5, held: 0, sold: 5 });
    expect(await reserve(order('more', 2, 'sold'))).toEqual({ outcome: 'limit-exceeded' });
    expect(await stock.claim(ticketTypeId, [order('sold', 3).orderNo])).toEqual(['already-claimed']);
    expect(await stock.release(ticketTypeId, [order('sold', 3)], 'rollback')).toEqual(['released']);
    expect(await stock.release(ticketTypeId, [order('again', 2)], 'rollback')).toEqual(['kept']);
    expect(await stock.reacquire(order('gone'))).toBe('reacquired');
    expect(await counters()).toEqual({ free: 7, held: 0, sold: 3 });
  });

  it('counts all orders of a buyer against the limit, those of the ledger and those it cannot know yet', async () => {
    await onSale();
    await reserved(order('held', 1, 'ann'));
    const ledgerOrders = ['one', 'two'].map((name) => ({
      ...order(name, 1, 'ann'),
      standing: 'sold' as const,
      atMs: NOW_MS,
    }));
    await onSale({ orders: ledgerOrders });
    expect(await counters()).toEqual({ free: 7, held: 1, sold: 2 });
    expect(await reserve(order('two more', 2, 'ann'))).toEqual({ outcome: 'limit-exceeded' });
    expect(await reserve(order('one more', 1, 'ann'))).toMatchObject({ outcome: 'reserved' });
  });

  it('keeps what the ledger cannot know yet', async () => {
    await onSale();
    const [held, claimed, pending, again] = [
      order('held'),
      order('claimed'),
      order('pending'),
      order('again'),
    ];
    await sold(pending, again);
    await reserved(held, claimed);
    await stock.claim(ticketTypeId, [claimed.orderNo]);
    await stock.release(ticketTypeId, [again], 'rollback');
    await stock.reacquire(again);
    // The ledger has heard of the rollback only; `pending` stands for a deduct whose commit was lost.
    await onSale({ orders: [known('again', 'released')] });
    expect(await Promise.all([held, claimed, pending, again].map(stateOf))).toEqual([
      'held',
      'claimed',
      'claimed',
      'reacquired',
    ]);
    expect(await counters()).toEqual({ free: 6, held: 3, sold: 1 });
    expect((await stock.hold(held.orderNo))?.position).toBe(1);
    expect(await reap(NOW_MS + HOLD_MS)).toEqual([held.orderNo]);
  });

  it('says what it found and what it left', async () => {
    await onSale();
    await sold(order('a', 2));
    await redis.hincrby(stockKeys(ticketTypeId).counter, 'free', 4);
    const snapshot: TicketTypeSnapshot = {
      ticketTypeId,
      initial: 10,
      unitPriceMinor: 1,
      currency: 'EUR',
      perUserLimit: 4,
      saleOpensAtMs: 0,
      saleClosesAtMs: Number.MAX_SAFE_INTEGER,
      orders: [known('a', 'sold', 2)],
    };
    expect(await stock.rebuild(snapshot, NOW_MS)).toEqual({
      before: { initial: 10, free: 12, held: 0, sold: 2 },
      after: { initial: 10, free: 8, held: 0, sold: 2 },
    });
  });

  it('takes thousands of orders', async () => {
    const orders = Array.from({ length: 5_000 }, (_, index) => known(`order-${index}`, 'sold'));
    await onSale({ initial: 6_000, orders });
    expect(await counters()).toEqual({ free: 1_000, held: 0, sold: 5_000 });
    expect(await redis.keys(`stock:{${ticketTypeId}}:staged:*`)).toEqual([]);
  });

  it('that comes when nobody waits for it any more changes nothing', async () => {
    await onSale();
    await reserved(order('a'));
    const keys = stockKeys(ticketTypeId);
    const staged = keys.staged('late');
    await redis.hset(staged, order('b').orderNo, `s|1|${NOW_MS}|b`);
    const late = defineStockScripts(redis).stockRebuild(
      ...([keys.counter, keys.holds, keys.holdExpiry, keys.buyers, keys.released, staged] as const),
      ...([10, 4_950, 'EUR', 4, 0, 'epoch', 0, Number.MAX_SAFE_INTEGER, Date.now() - 1] as const),
    );
    await expect(late).rejects.toThrow('too late');
    expect(await counters()).toEqual({ free: 9, held: 1, sold: 0 });
    expect(await redis.exists(staged)).toBe(0);
  });

  it('forgets tombstones of before yesterday', async () => {
    await onSale();
    const gone = order('gone');
    await reserved(gone);
    await stock.release(ticketTypeId, [gone], 'rollback', NOW_MS - 86_399_999);
    await onSale();
    expect(await stateOf(gone)).toBe('released');
    await stock.release(ticketTypeId, [order('older')], 'rollback', NOW_MS - 86_400_000);
    await onSale();
    expect(await stateOf(order('older'))).toBeUndefined();
  });
});
