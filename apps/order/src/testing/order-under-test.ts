import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { Redis } from 'ioredis';
import { PrismaClient } from '#prisma/order';
import type { OrderSubmitted, PaymentSucceeded } from '#libs/contracts';
import { openDatabase, provesNothingWritten, Reconciliation } from '#libs/service-kit';
import { newTicketTypeId, orderNoFor, RedisStock } from '#libs/redis-stock';
import { FaultProxy, startPostgres, startRedis } from '../../../../libs/service-kit/src/testing/index.js';
import { CancelOrder } from '../cancel-order/cancel-order.js';
import { ChangeOrders } from '../change-orders/change-orders.js';
import { OrderCheckBack } from '../check-back/order.check-back.js';
import { OrderStore } from '../order-store/order-store.js';
import { orderRules } from '../reconcile-orders/order-rules.js';
import { PlaceOrders } from '../place-orders/place-orders.js';
import { SettlePayment } from '../settle-payment/settle-payment.js';
import { RehearsalBus } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';

const logger = pino({ level: 'silent' });
const PRICE_MINOR = 5_000;
export const PAYMENT_TIMEOUT_MS = 1_800_000;
export const RECONCILE_AFTER_MS = 300_000;

/** A clock that follows the real one (the database's has to agree), until it is set off by `aheadMs`. */
export class TestClock {
  aheadMs = 0;
  now(): number {
    return Date.now() + this.aheadMs;
  }
}

/** The order service's use cases on a real Postgres and a real Redis, with a bus that can die. */
export class OrderUnderTest {
  readonly bus = new RehearsalBus(provesNothingWritten);
  readonly clock = new TestClock();
  readonly store: OrderStore;
  readonly changeOrders: ChangeOrders;
  readonly placeOrders: PlaceOrders;
  readonly settlePayment: SettlePayment;
  readonly cancelOrder: CancelOrder;
  private readonly checkBack: OrderCheckBack;
  private readonly looking = new TestClock();
  private readonly registry = new Registry();
  readonly reconciliation: Reconciliation;

  private constructor(
    readonly database: PrismaClient,
    readonly stock: RedisStock,
    readonly redis: Redis,
    /** The way to the database. */
    readonly link: FaultProxy,
    private readonly release: () => Promise<void>,
  ) {
    const { bus } = this.bus;
    this.store = new OrderStore(database);
    this.changeOrders = new ChangeOrders(this.store, bus, this.clock, logger);
    this.placeOrders = new PlaceOrders(this.store, stock, bus, this.clock, { PAYMENT_TIMEOUT_MS });
    this.settlePayment = new SettlePayment(this.changeOrders, stock, bus, this.clock);
    this.cancelOrder = new CancelOrder(this.store, this.changeOrders, stock);
    const { looking: clock, store, changeOrders, registry } = this;
    this.reconciliation = new Reconciliation(
      orderRules({ database, store, changeOrders, bus, clock, afterMs: RECONCILE_AFTER_MS }),
      { intervalMs: 60_000, logger, registry },
    );
    this.checkBack = new OrderCheckBack(this.store, database);
  }

  static async start(): Promise<OrderUnderTest> {
    const [postgres, redisServer] = await Promise.all([startPostgres(), startRedis()]);
    const link = await FaultProxy.inFrontOf(postgres.url('order'));
    const url = link.via(postgres.url('order'));
    const database = openDatabase(PrismaClient, { url, schema: 'order', logger });
    const redis = new Redis(redisServer.url);
    return new OrderUnderTest(database, new RedisStock(redis), redis, link, async () => {
      await database.$disconnect();
      await link.stop();
      redis.disconnect();
      await Promise.all([postgres.stop(), redisServer.stop()]);
    });
  }

  stop(): Promise<void> {
    return this.release();
  }

  /** A ticket type on sale. */
  async ticketType(quantity: number, saleClosesAtMs = Date.UTC(2199, 0)): Promise<string> {
    const ticketTypeId = newTicketTypeId();
    await this.stock.rebuild({
      ticketTypeId,
      initial: quantity,
      unitPriceMinor: PRICE_MINOR,
      currency: 'EUR',
      perUserLimit: 10,
      saleOpensAtMs: 0,
      saleClosesAtMs,
      orders: [],
    });
    return ticketTypeId;
  }

  /** What the gateway does: reserves, and makes the message. */
  async submitted(ticketTypeId: string, count = 1): Promise<OrderSubmitted[]> {
    return Promise.all(
      Array.from({ length: count }, async () => {
        const buyerId = `buyer-${randomUUID()}`;
        const orderNo = orderNoFor({ buyerId, idempotencyKey: 'key', ticketTypeId, quantity: 1 }, 0);
        const nowMs = this.clock.now();
        const answer = await this.stock.reserve({
          orderNo,
          ticketTypeId,
          buyerId,
          quantity: 1,
          nowMs,
          holdTimeoutMs: 600_000,
        });
        if (answer.outcome !== 'reserved') throw new Error(`no hold: ${answer.outcome}`);
        return {
          orderNo,
          buyerId,
          ticketTypeId,
          quantity: 1,
          totalMinor: PRICE_MINOR,
          currency: 'EUR',
          submittedAt: new Date(nowMs).toISOString(),
          saleEndsAt: new Date(answer.saleClosesAtMs).toISOString(),
        };
      }),
    );
  }

  /** Written orders whose tickets the ledger has taken, as the stock service does on `order.created`. */
  async placed(ticketTypeId: string, count: number): Promise<OrderSubmitted[]> {
    const orders = await this.submitted(ticketTypeId, count);
    await this.placeOrders.execute(orders);
    await this.stock.markSold(ticketTypeId, orders);
    return orders;
  }

  async placedOne(ticketTypeId: string): Promise<OrderSubmitted> {
    const [order] = await this.placed(ticketTypeId, 1);
    if (order === undefined) throw new Error('nothing was placed');
    return order;
  }

  payment(order: OrderSubmitted, paymentId: string = randomUUID()): PaymentSucceeded {
    return {
      paymentId,
      orderNo: order.orderNo,
      amountMinor: order.totalMinor,
      currency: order.currency,
      succeededAt: new Date(this.clock.now()).toISOString(),
    };
  }

  async expire(order: OrderSubmitted): Promise<void> {
    await this.changeOrders.one(order.orderNo, { type: 'payment-timed-out' });
  }

  /** As the stock service does on `order.cancelled`. */
  async rollBackStock(order: OrderSubmitted): Promise<void> {
    await this.stock.release(order.ticketTypeId, [order], 'rollback');
  }

  /** The present status, and every one before it. */
  async statuses(orderNo: string): Promise<string[]> {
    const order = (await this.store.find([orderNo])).get(orderNo);
    return order?.history.map((entry) => entry.status) ?? [];
  }

  /** One round of looking, at that time; what it repairs is written at the present one, as the write deadline wants it. */
  async reconcileAt(nowMs: number): Promise<void> {
    this.looking.aheadMs = nowMs - Date.now();
    await this.reconciliation.execute();
  }

  /** Cases so far, by rule and outcome. */
  async reconciled(): Promise<Record<string, number>> {
    const [metric] = await this.registry.getMetricsAsJSON();
    const values = (metric?.values ?? []) as {
      value: number;
      labels: { rule?: string; outcome?: string };
    }[];
    return Object.fromEntries(values.map(({ labels, value }) => [`${labels.rule} ${labels.outcome}`, value]));
  }

  askBack(): ReturnType<RehearsalBus['checkBack']> {
    return this.bus.checkBack((id, messages) => this.checkBack.check(id, messages));
  }
}
