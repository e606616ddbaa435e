import { pino } from 'pino';
import { Redis } from 'ioredis';
import { PrismaClient } from '#prisma/stock';
import type { BrokerPort, Envelope, GroupInfo, MessageBus } from '#libs/messaging';
import { Metrics, openDatabase, openRedis } from '#libs/service-kit';
import { startPostgres, startRedis, type TestRedis } from '#libs/service-kit/testing';
import { orderNoFor, RedisStock, type StockCounters } from '#libs/redis-stock';
import { CreateShow } from '../create-show/create-show.js';
import { ListShows } from '../list-shows/list-shows.js';
import type { OrderFact } from '../domain/movements.js';
import { MoveStock } from '../move-stock/move-stock.js';
import { MovementLedger } from '../move-stock/movement-ledger.js';
import type { StockEvent } from '../move-stock/stock-event.js';
import { StockMirror } from '../move-stock/stock-mirror.js';
import { OrderQueue, type Progress } from '../order-queue/order-queue.js';
import { ReapHolds } from '../reap-holds/reap-holds.js';
import { RebuildStock } from '../rebuild-stock/rebuild-stock.js';
import { RecordSync } from '../rebuild-stock/record-sync.js';
import { VerifyStock } from '../rebuild-stock/verify-stock.js';
import { ReconcileStock } from '../reconcile-stock/reconcile-stock.js';
import { ReleaseOrphans } from '../release-orphans/release-orphans.js';
import { SeedShows } from '../seed-shows/seed-shows.js';

const logger = pino({ level: 'silent' });
export const HOLD_TIMEOUT_MS = 600_000;
const STARTS_IN_MS = 30 * 86_400_000;

/** The real time, until a spec moves it. */
export class TestClock {
  aheadMs = 0;
  now(): number {
    return Date.now() + this.aheadMs;
  }
}

/** Remembers what was sent; `failNext` makes one send fail, as a broker that is away does. */
export class SentMessages {
  readonly envelopes: Envelope[] = [];
  failNext = false;

  get bus(): MessageBus {
    return this as unknown as MessageBus;
  }

  sendBatch(envelopes: readonly Envelope[]): Promise<void> {
    if (this.failNext) {
      this.failNext = false;
      return Promise.reject(new Error('the broker is away'));
    }
    this.envelopes.push(...envelopes);
    return Promise.resolve();
  }

  send(contract: Envelope['contract'], payload: unknown): Promise<void> {
    return this.sendBatch([{ contract, payload, options: {} }]);
  }

  /** Names of the messages about an order, such as `stock.deduct`. */
  about(orderNo: string): string[] {
    return this.envelopes
      .filter(({ payload }) => (payload as { orderNo?: string }).orderNo === orderNo)
      .map(({ contract }) => contract.name);
  }
}

/** The stock service's use cases on a real Postgres and a real Redis. */
export class StockUnderTest {
  readonly sent = new SentMessages();
  /** That of the service. */
  readonly clock = new TestClock();
  /** That of Redis, by which tickets are held and sales go. */
  readonly redisClock = new TestClock();
  /** Unprocessed messages per group, as the broker would report them. */
  readonly lag = new Map<string, number>();
  readonly ledger: MovementLedger;
  readonly mirror: StockMirror;
  readonly moveStock: MoveStock;
  readonly rebuildStock: RebuildStock;
  readonly verifyStock: VerifyStock;
  /** What the order service has done, as the broker would tell; undefined when it could not. */
  readonly queue: { isQuiet: boolean; progress: (nowMs: number) => Progress | undefined } = {
    isQuiet: true,
    progress: (nowMs) => ({ doneBeforeMs: nowMs, waiting: new Set() }),
  };
  readonly reapHolds: ReapHolds;
  readonly releaseOrphans: ReleaseOrphans;
  readonly reconcileStock: ReconcileStock;
  readonly createShow: CreateShow;
  readonly listShows: ListShows;
  readonly seedShows: SeedShows;
  readonly metrics = new Metrics('stock');

  private constructor(
    readonly database: PrismaClient,
    readonly redis: Redis,
    readonly stock: RedisStock,
    readonly redisServer: TestRedis,
    private readonly release: () => Promise<void>,
  ) {
    const { clock, metrics } = this;
    const { bus } = this.sent;
    stock.nowMs = () => Promise.resolve(this.redisClock.now());
    this.ledger = new MovementLedger(database, clock);
    this.mirror = new StockMirror(stock);
    this.moveStock = new MoveStock(this.ledger, this.mirror, bus, clock);
    this.rebuildStock = new RebuildStock(database, stock, clock);
    const recordSync = new RecordSync(database, bus, clock);
    this.verifyStock = new VerifyStock(database, stock, this.rebuildStock, recordSync, logger);
    const queue = {
      isQuiet: () => Promise.resolve(this.queue.isQuiet),
      progress: (nowMs: number) => Promise.resolve(this.queue.progress(nowMs)),
    } as OrderQueue;
    this.reapHolds = new ReapHolds(database, stock, queue, logger, metrics);
    this.releaseOrphans = new ReleaseOrphans(database, stock, queue, logger, metrics);
    const broker = { admin: { groups: () => Promise.resolve(this.groups()) } } as unknown as BrokerPort;
    this.reconcileStock = new ReconcileStock(
      database,
      stock,
      this.rebuildStock,
      recordSync,
      broker,
      logger,
      metrics,
    );
    this.createShow = new CreateShow(database, this.rebuildStock, recordSync, clock, logger);
    this.listShows = new ListShows(database, stock, clock, logger);
    this.seedShows = new SeedShows(database, clock);
  }

  /** @param redisUrl another Redis than one of its own, on a connection as the service has it */
  static async start(redisUrl?: string): Promise<StockUnderTest> {
    const [postgres, redisServer] = await Promise.all([startPostgres(), startRedis()]);
    const database = openDatabase(PrismaClient, { url: postgres.url('stock'), schema: 'stock', logger });
    const redis =
      redisUrl === undefined
        ? new Redis(redisServer.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 })
        : openRedis({ url: redisUrl, name: 'stock', logger });
    redis.on('error', () => {
      // Expected while a spec has the server down.
    });
    const service = new StockUnderTest(database, redis, new RedisStock(redis), redisServer, async () => {
      await database.$disconnect();
      redis.disconnect();
      await Promise.all([postgres.stop(), redisServer.stop()]);
    });
    await service.verifyStock.execute();
    return service;
  }

  stop(): Promise<void> {
    return this.release();
  }

  /** A ticket type on sale. */
  async ticketType(
    quantity: number,
    perUserLimit = 10,
    startsAt = new Date(this.clock.now() + STARTS_IN_MS).toISOString(),
  ): Promise<string> {
    const show = await this.createShow.execute({
      title: 'A show',
      venue: 'A hall',
      startsAt,
      sessions: [
        {
          startsAt,
          ticketTypes: [
            {
              name: 'Seat',
              priceMinor: 5_000,
              currency: 'EUR',
              quantity,
              perUserLimit,
              saleOpensAt: '2026-01-01T00:00:00Z',
            },
          ],
        },
      ],
    });
    const id = show.sessions[0]?.ticketTypes[0]?.id;
    if (id === undefined) throw new Error('no ticket type was created');
    return id;
  }

  /** An order that nobody has reserved. */
  order(ticketTypeId: string, name: string, quantity = 1, buyerId = name): Omit<StockEvent, 'fact'> {
    const orderNo = orderNoFor({ buyerId, idempotencyKey: name, ticketTypeId, quantity }, 0);
    return { orderNo, ticketTypeId, buyerId, quantity };
  }

  /** An order as the gateway and the order service leave it: reserved and claimed. */
  async claimed(ticketTypeId: string, name: string, quantity = 1): Promise<Omit<StockEvent, 'fact'>> {
    const order = await this.reserved(ticketTypeId, name, quantity);
    await this.stock.claim(ticketTypeId, [order.orderNo]);
    return order;
  }

  async reserved(ticketTypeId: string, name: string, quantity = 1): Promise<Omit<StockEvent, 'fact'>> {
    const order = this.order(ticketTypeId, name, quantity);
    const answer = await this.reserve(order);
    if (answer !== 'reserved') throw new Error(`no hold: ${answer}`);
    return order;
  }

  async reserve(order: Omit<StockEvent, 'fact'>): Promise<string> {
    const nowMs = this.redisClock.now();
    return (await this.stock.reserve({ ...order, nowMs, holdTimeoutMs: HOLD_TIMEOUT_MS })).outcome;
  }

  async happened(fact: OrderFact, ...orders: Omit<StockEvent, 'fact'>[]): Promise<void> {
    await this.moveStock.execute(orders.map((order) => ({ ...order, fact })));
  }

  /** The order's rows, oldest first. */
  async movements(orderNo: string): Promise<string[]> {
    const rows = await this.database.ledgerEntry.findMany({ where: { orderNo }, orderBy: { id: 'asc' } });
    return rows.map(({ movement }) => movement);
  }

  /** Tickets sold according to the ledger. */
  async ledgerSold(ticketTypeId: string): Promise<number> {
    return (await this.database.ticketType.findUniqueOrThrow({ where: { id: ticketTypeId } })).sold;
  }

  async counters(ticketTypeId: string): Promise<Pick<StockCounters, 'free' | 'held' | 'sold'>> {
    const counters = await this.stock.read(ticketTypeId);
    if (counters === undefined) throw new Error('no counters');
    const { initial, free, held, sold } = counters;
    if (free + held + sold !== initial) throw new Error(`${free} + ${held} + ${sold} is not ${initial}`);
    return { free, held, sold };
  }

  private groups(): GroupInfo[] {
    return [...this.lag].map(([group, lag]) => ({ group, lag }) as GroupInfo);
  }
}
