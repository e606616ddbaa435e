import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { ticketTypeOf } from '#libs/contracts';
import { UnavailableError } from '#libs/messaging';
import type { Fitness } from './fitness.js';
import { SAME_REQUEST_MS } from './order-no.js';
import { EPOCH_KEY, stockKeys, TICKET_TYPES_KEY, verifyingKey } from './stock-keys.js';
import {
  auditOf,
  CLAIM_ANSWERS,
  countersOf,
  holdViewOf,
  MARK_SOLD_ANSWERS,
  named,
  REACQUIRE_ANSWERS,
  RELEASE_ANSWERS,
  reserveAnswerOf,
  storedHoldOf,
  sumsOf,
} from './stock-replies.js';
import { StockStore } from './stock-store.js';
import type {
  ClaimAnswer,
  HoldView,
  StockAudit,
  LedgerOrder,
  MarkSoldAnswer,
  ReacquireAnswer,
  RebuildResult,
  ReleaseAnswer,
  ReleaseCause,
  Reservation,
  ReserveAnswer,
  SoldOrder,
  StockCounters,
  StockOrder,
  StoredHold,
  TicketTypeSnapshot,
} from './stock-values.js';

/** How long a released hold is remembered, so that a repeated request gets its first answer. */
const TOMBSTONE_MS = 86_400_000;
/** Most orders in one call: bounds how long a script keeps Redis from serving others. */
const CHUNK = 1_000;
/** Most holds that `audit` adds up unless told otherwise. */
const AUDIT_BOUND = 100_000;
const STAGED_SECONDS = 600;
/** Longer than the rebuild of every ticket type takes. */
const VERIFYING_SECONDS = 3_600;
/** For the largest ticket type, a million orders: ten seconds, and as many again for a busy machine. */
const REBUILD_TIMEOUT_MS = 20_000;
/** Epoch milliseconds to take for now. Specs set it; else the scripts read the clock of Redis, the one that all callers share. */
type TimeMs = number | typeof SERVER_TIME;
const SERVER_TIME = '';
const NO_COUNTER = -1;
const NOT_VERIFIED = -1;
const UNKNOWN = -5;

/**
 * The stock in Redis: counters, holds and limits, changed only by scripts, so that every change is
 * atomic. A cache of the ledger in Postgres (docs/adr): `rebuild` makes it anew.
 *
 * All times are by the clock of Redis: those of the services that call may disagree.
 *
 * Failures of the connection reject with ioredis' error. Everything is safe to repeat.
 *
 * Assumes one Redis primary: its run id is the epoch under which counters count as verified.
 */
export class RedisStock {
  readonly #store: StockStore;

  /** @param report is told what every look at the Redis behind the connection finds. */
  constructor(redis: Redis, report?: (fitness: Fitness) => void) {
    this.#store = new StockStore(redis, report);
  }

  get #redis(): StockStore['redis'] {
    return this.#store.redis;
  }

  /** Takes the tickets of one order, once, and says what one costs. One round trip. */
  async reserve(reservation: Reservation): Promise<ReserveAnswer> {
    const {
      orderNo,
      ticketTypeId,
      buyerId,
      quantity,
      nowMs = SERVER_TIME,
      holdTimeoutMs,
      otherOrderNos = [],
    } = reservation;
    const keys = stockKeys(ticketTypeId);
    const { runId } = await this.#store.fit();
    const reply = await this.#redis.stockReserve(
      keys.counter,
      keys.holds,
      keys.holdExpiry,
      keys.buyers,
      orderNo,
      buyerId,
      quantity,
      nowMs,
      holdTimeoutMs,
      runId,
      SAME_REQUEST_MS,
      ...otherOrderNos,
    );
    // Of another run than this one, or this one is not what it was when it was looked at.
    if (reply[0] === NOT_VERIFIED) this.#store.forget();
    if (reply[0] === UNKNOWN) return { outcome: await this.#whyNoCounter(ticketTypeId) };
    return reserveAnswerOf(reply);
  }

  /**
   * Makes holds the caller's own, in the order given.
   * @throws {UnavailableError} `STOCK_NOT_READY` when the counters are lost and not rebuilt yet.
   */
  async claim(ticketTypeId: string, orderNos: readonly string[]): Promise<ClaimAnswer[]> {
    const keys = stockKeys(ticketTypeId);
    await this.#store.fit();
    const codes = await inChunks(orderNos, (chunk) =>
      this.#redis.stockClaim(keys.counter, keys.holds, keys.holdExpiry, ...chunk),
    );
    if (codes === undefined) throw notReady(ticketTypeId);
    return codes.map((code) => named(CLAIM_ANSWERS, code));
  }

  /**
   * Brings Redis up to what the ledger has recorded: these orders own their tickets. Undefined when
   * the counters are lost: the rebuild that must follow reads these orders from the ledger.
   */
  async markSold(
    ticketTypeId: string,
    orders: readonly SoldOrder[],
    nowMs: TimeMs = SERVER_TIME,
  ): Promise<MarkSoldAnswer[] | undefined> {
    const { counter, holds, holdExpiry, buyers, released } = stockKeys(ticketTypeId);
    await this.#store.fit();
    const codes = await inChunks(orders, (chunk) =>
      this.#redis.stockMarkSold(
        counter,
        holds,
        holdExpiry,
        buyers,
        released,
        nowMs,
        ...chunk.flatMap((order) => [
          order.orderNo,
          order.quantity,
          order.buyerId,
          order.reacquired ? 'a' : 's',
        ]),
      ),
    );
    return codes?.map((code) => named(MARK_SOLD_ANSWERS, code));
  }

  /**
   * Gives tickets back. An order given with its facts leaves a tombstone even when Redis does not know
   * it. Undefined when the counters are lost, see `markSold`.
   */
  async release(
    ticketTypeId: string,
    orders: readonly (string | StockOrder)[],
    cause: ReleaseCause,
    nowMs: TimeMs = SERVER_TIME,
  ): Promise<ReleaseAnswer[] | undefined> {
    const { counter, holds, holdExpiry, buyers, released } = stockKeys(ticketTypeId);
    await this.#store.fit();
    const codes = await inChunks(orders, (chunk) =>
      this.#redis.stockRelease(
        counter,
        holds,
        holdExpiry,
        buyers,
        released,
        cause,
        nowMs,
        ...chunk.flatMap((order) =>
          typeof order === 'string' ? [order, 0, ''] : [order.orderNo, order.quantity, order.buyerId],
        ),
      ),
    );
    return codes?.map((code) => named(RELEASE_ANSWERS, code));
  }

  /**
   * Takes a cancelled order's tickets again. `paidAtMs`: when the money was captured, in epoch milliseconds; now, if unknown.
   * @throws {UnavailableError} `STOCK_NOT_READY` when the counters are lost and not rebuilt yet.
   */
  async reacquire(
    order: { orderNo: string; paidAtMs?: number },
    nowMs: TimeMs = SERVER_TIME,
  ): Promise<ReacquireAnswer> {
    const ticketTypeId = ticketTypeOf(order.orderNo);
    const keys = stockKeys(ticketTypeId);
    await this.#store.fit();
    const code = await this.#redis.stockReacquire(
      keys.counter,
      keys.holds,
      keys.buyers,
      keys.released,
      order.orderNo,
      nowMs,
      order.paidAtMs ?? '',
    );
    if (code === NO_COUNTER) throw notReady(ticketTypeId);
    return named(REACQUIRE_ANSWERS, code);
  }

  /** Epoch milliseconds by the clock that holds go by: that of Redis. */
  async nowMs(): Promise<number> {
    const [seconds, microseconds] = await this.#redis.time();
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  }

  /** Unclaimed holds that expired by `expiredByMs`, the longest waiting first: at most `limit`, without the first `skip`. */
  async expired(ticketTypeId: string, expiredByMs: number, limit: number, skip = 0): Promise<string[]> {
    const { holdExpiry } = stockKeys(ticketTypeId);
    return this.#redis.zrangebyscore(holdExpiry, '-inf', expiredByMs, 'LIMIT', skip, limit);
  }

  /**
   * Releases those of the holds that are still unclaimed and expired by `expiredByMs`, and returns their order numbers.
   * Forgets tombstones of before yesterday too, at most `CHUNK` of them.
   */
  async reap(
    ticketTypeId: string,
    orderNos: readonly string[],
    expiredByMs: number,
    nowMs: TimeMs = SERVER_TIME,
  ): Promise<string[]> {
    const { counter, holds, holdExpiry, buyers, released } = stockKeys(ticketTypeId);
    await this.#store.fit();
    return this.#redis.stockReap(
      counter,
      holds,
      holdExpiry,
      buyers,
      released,
      nowMs,
      CHUNK,
      TOMBSTONE_MS,
      expiredByMs,
      ...orderNos,
    );
  }

  /** Order numbers of the holds that somebody claimed and the ledger has not recorded. Looks at every hold, a page at a time. */
  async claimed(ticketTypeId: string): Promise<string[]> {
    const { holds } = stockKeys(ticketTypeId);
    const orderNos = new Set<string>();
    let cursor = '0';
    do {
      const [next, found] = await this.#redis.hscan(holds, cursor, 'COUNT', CHUNK);
      cursor = next;
      for (let index = 0; index < found.length; index += 2) {
        const [orderNo, hold] = found.slice(index, index + 2);
        if (orderNo !== undefined && hold?.startsWith('c|')) orderNos.add(orderNo);
      }
    } while (cursor !== '0');
    return [...orderNos];
  }

  /**
   * Makes a ticket type's counters, limits and holds anew from the ledger, keeps the holds that the
   * ledger cannot know yet, and opens it for this run of Redis. The caller keeps the ledger from
   * changing between reading the snapshot and the end of this call.
   */
  async rebuild(ticketType: TicketTypeSnapshot, nowMs?: number): Promise<RebuildResult> {
    const keys = stockKeys(ticketType.ticketTypeId);
    const staged = keys.staged(randomUUID());
    await this.#store.look();
    const { runId, nowMs: serverMs } = await this.#store.fit();
    // Begun later than this, it would undo what the ledger has recorded since the caller let go of it.
    const beginBeforeMs = serverMs + REBUILD_TIMEOUT_MS;
    for (let first = 0; first < ticketType.orders.length; first += CHUNK) {
      const fields = ticketType.orders.slice(first, first + CHUNK).flatMap(stagedFields);
      await this.#redis
        .multi()
        .hset(staged, ...fields)
        .expire(staged, STAGED_SECONDS)
        .exec();
    }
    const [before, after] = await this.#store.patiently(REBUILD_TIMEOUT_MS, (redis) =>
      redis.stockRebuild(
        keys.counter,
        keys.holds,
        keys.holdExpiry,
        keys.buyers,
        keys.released,
        staged,
        ticketType.initial,
        ticketType.unitPriceMinor,
        ticketType.currency,
        ticketType.perUserLimit,
        ticketType.saleOpensAtMs,
        runId,
        (nowMs ?? serverMs) - TOMBSTONE_MS,
        ticketType.saleClosesAtMs,
        beginBeforeMs,
        ticketType.startsAtMs ?? ticketType.saleClosesAtMs,
      ),
    );
    await this.#redis.sadd(TICKET_TYPES_KEY, ticketType.ticketTypeId);
    return { before: before?.length ? sumsOf(before) : undefined, after: sumsOf(after ?? []) };
  }

  /** The counters, or undefined when there are none. */
  async read(ticketTypeId: string): Promise<StockCounters | undefined> {
    return countersOf(await this.#redis.hgetall(stockKeys(ticketTypeId).counter));
  }

  /** The free tickets of many types in one round trip; undefined for a type without counters. */
  async free(ticketTypeIds: readonly string[]): Promise<(number | undefined)[]> {
    const replies = await this.#counterFields(ticketTypeIds, 'free');
    return replies.map((free) => (free === null ? undefined : Number(free)));
  }

  /** An order's hold, found from its number alone. */
  async hold(orderNo: string): Promise<HoldView | undefined> {
    const keys = stockKeys(ticketTypeOf(orderNo));
    const [hold, counter] = await Promise.all([
      this.#redis.hget(keys.holds, orderNo),
      this.#redis.hmget(keys.counter, 'settled', 'price', 'currency'),
    ]);
    return holdViewOf(orderNo, hold, counter);
  }

  /**
   * Counters beside what the holds add up to; undefined when there are no counters. Adding up keeps Redis
   * from serving others, so it is done for at most `maxHolds`.
   */
  async audit(ticketTypeId: string, maxHolds = AUDIT_BOUND): Promise<StockAudit | undefined> {
    const keys = stockKeys(ticketTypeId);
    return auditOf(await this.#redis.stockAudit(keys.counter, keys.holds, keys.buyers, maxHolds));
  }

  /**
   * Every hold of a ticket type, some hundreds at a time, without keeping Redis from serving others. Holds that come or
   * go meanwhile may be in it or not; one may come twice while the hash grows.
   */
  async *scanHolds(ticketTypeId: string): AsyncGenerator<StoredHold[]> {
    for await (const fields of this.#scan(stockKeys(ticketTypeId).holds)) {
      yield fields.map(([orderNo, hold]) => storedHoldOf(orderNo, hold));
    }
  }

  /** Tickets that count towards the buyers' limits, added up as `scanHolds` reads. */
  async charged(ticketTypeId: string): Promise<number> {
    let charged = 0;
    for await (const fields of this.#scan(stockKeys(ticketTypeId).buyers)) {
      for (const [, quantity] of fields) charged += Number(quantity);
    }
    return charged;
  }

  async *#scan(hash: string): AsyncGenerator<[field: string, value: string][]> {
    let cursor = '0';
    do {
      const [next, flat] = await this.#redis.hscan(hash, cursor, 'COUNT', CHUNK);
      const fields: [string, string][] = [];
      for (let index = 0; index < flat.length; index += 2)
        fields.push([flat[index] ?? '', flat[index + 1] ?? '']);
      if (fields.length > 0) yield fields;
      cursor = next;
    } while (cursor !== '0');
  }

  /** Looks at the Redis behind the connection. Rejects when it does not answer. */
  look(): Promise<Fitness> {
    return this.#store.look();
  }

  /**
   * Run id of the Redis behind this connection: a new one after every start of Redis, and after a server has
   * been a replica.
   */
  async runId(): Promise<string> {
    await this.#store.look();
    return (await this.#store.fit()).runId;
  }

  /** Run id of the Redis whose counters were all verified last, if any. */
  async epoch(): Promise<string | undefined> {
    return (await this.#redis.get(EPOCH_KEY)) ?? undefined;
  }

  /** Before the first look of a verification of all ticket types. Returns its name, for `setEpoch`. */
  async beginVerifying(): Promise<string> {
    const attempt = randomUUID();
    await this.#redis.set(verifyingKey(attempt), '1', 'EX', VERIFYING_SECONDS);
    return attempt;
  }

  /**
   * Records that all ticket types are verified for this run of Redis. False when Redis was emptied since that verification
   * began, or it took longer than an hour: then nothing is known of them.
   */
  async setEpoch(runId: string, attempt: string): Promise<boolean> {
    return (await this.#redis.stockSetEpoch(EPOCH_KEY, verifyingKey(attempt), runId)) === 1;
  }

  /** Those of the ticket types whose counters are missing, not verified for this run of Redis, or of before sales had an end. */
  async unverified(ticketTypeIds: readonly string[]): Promise<string[]> {
    const runId = await this.runId();
    const [epochs, ends] = await Promise.all([
      this.#counterFields(ticketTypeIds, 'epoch'),
      this.#counterFields(ticketTypeIds, 'closesAt'),
    ]);
    return ticketTypeIds.filter((_, index) => epochs[index] !== runId || ends[index] === null);
  }

  async #counterFields(ticketTypeIds: readonly string[], field: string): Promise<(string | null)[]> {
    return Promise.all(ticketTypeIds.map((id) => this.#redis.hget(stockKeys(id).counter, field)));
  }

  async #whyNoCounter(ticketTypeId: string): Promise<'not-ready' | 'unknown-ticket-type'> {
    const [{ runId }, epoch, isMember] = await Promise.all([
      this.#store.fit(),
      this.epoch(),
      this.#redis.sismember(TICKET_TYPES_KEY, ticketTypeId),
    ]);
    const isVerified = epoch !== undefined && epoch === runId;
    return isVerified && isMember === 0 ? 'unknown-ticket-type' : 'not-ready';
  }
}

function notReady(ticketTypeId: string): UnavailableError {
  return new UnavailableError('STOCK_NOT_READY', `the counters of ${ticketTypeId} are not there`, 1_000);
}

const STAGED_STATES = { sold: 's', reacquired: 'a', released: 'r', ended: 'e' } as const;
const stagedFields = (order: LedgerOrder): [string, string] => [
  order.orderNo,
  `${STAGED_STATES[order.standing]}|${order.quantity}|${order.atMs}|${order.buyerId}`,
];

/** One script call per chunk, in order; undefined when there is no counter. */
async function inChunks<T>(
  items: readonly T[],
  call: (chunk: readonly T[]) => Promise<number[]>,
): Promise<number[] | undefined> {
  const codes: number[] = [];
  for (let first = 0; first < items.length; first += CHUNK) {
    const answers = await call(items.slice(first, first + CHUNK));
    if (answers[0] === NO_COUNTER) return undefined;
    codes.push(...answers);
  }
  return codes;
}
