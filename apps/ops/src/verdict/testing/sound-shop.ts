import type { Redis } from 'ioredis';
import type pg from 'pg';
import { RedisStock } from '#libs/redis-stock';

export const TYPE = 'tt0123456789';
export const orderNo = (index: number): string => `0123456789-${String(index).padStart(16, '0')}`;
export const paymentId = (index: number): string =>
  `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

const KEYS = `stock:{${TYPE}}:`;
const CHANNELS = ['sms', 'email', 'push'];
const PLACED_AGO_MS = 3_600_000;

/**
 * Ten tickets at 1.00 €, one a buyer, as real tables and a real Redis hold them after a sale without a fault: orders 0
 * to 6 are paid, 7 and 8 wait for payment, 9 was cancelled a moment ago. And the hands to spoil it, a detail at a time.
 */
export class SoundShop {
  private readonly stock: RedisStock;

  constructor(
    private readonly admin: pg.Client,
    private readonly redis: Redis,
  ) {
    this.stock = new RedisStock(redis);
  }

  async open(): Promise<void> {
    await this.redis.flushdb();
    // The database's own guards are gone: the verdict must not rest on them.
    await this.admin.query(`
      ALTER TABLE stock.ticket_types DROP CONSTRAINT IF EXISTS ticket_types_not_oversold;
      ALTER TABLE "order".orders DROP CONSTRAINT IF EXISTS orders_status_known;
      TRUNCATE "order".outbox, payment.outbox;
      TRUNCATE stock.ledger, stock.ticket_types, stock.sessions, stock.shows, "order".orders, payment.refunds,
        payment.payments, payment.provider_refunds, payment.webhook_anomalies, payment.provider_intents, payment.provider_webhooks, notification.deliveries,
        notification.mailbox;
      INSERT INTO stock.shows VALUES ('sh1', 'Show', 'Hall', now() + interval '1 day');
      INSERT INTO stock.sessions VALUES ('se1', 'sh1', now() + interval '1 day');
      INSERT INTO stock.ticket_types
        (id, session_id, name, price_minor, currency, quantity, sold, per_user_limit, sale_opens_at)
      VALUES ('${TYPE}', 'se1', 'Standing', 100, 'EUR', 10, 9, 1, now() - interval '1 day')`);
    for (let index = 0; index < 10; index += 1) await this.insertOrder(index);
    await this.stock.rebuild({
      ticketTypeId: TYPE,
      initial: 10,
      unitPriceMinor: 100,
      currency: 'EUR',
      perUserLimit: 1,
      saleOpensAtMs: 0,
      saleClosesAtMs: Date.now() + 86_400_000,
      orders: Array.from({ length: 10 }, (_, index) => ({
        orderNo: orderNo(index),
        quantity: 1,
        buyerId: `b${index}`,
        standing: index < 9 ? ('sold' as const) : ('released' as const),
        atMs: Date.now() - PLACED_AGO_MS,
      })),
    });
  }

  private async insertOrder(index: number): Promise<void> {
    const status = index < 7 ? 'PAID' : index < 9 ? 'PENDING_PAYMENT' : 'CANCELLED';
    const placedAt = new Date(Date.now() - PLACED_AGO_MS).toISOString();
    const history = ['QUEUED', 'PENDING_PAYMENT', ...(status === 'PENDING_PAYMENT' ? [] : [status])];
    await this.admin.query(
      `INSERT INTO "order".orders (order_no, buyer_id, ticket_type_id, quantity, total_minor, currency, status,
                                   payment_id, history, pay_before, created_at, updated_at)
       VALUES ($1, $2, $3, 1, 100, 'EUR', $4, $5, $6, now() + interval '30 minutes', $7, now())`,
      [
        orderNo(index),
        `b${index}`,
        TYPE,
        status,
        status === 'PAID' ? paymentId(index) : null,
        JSON.stringify(history.map((step) => ({ status: step, at: placedAt }))),
        placedAt,
      ],
    );
    await this.move(orderNo(index), 'DEDUCT', index, placedAt);
    if (status === 'CANCELLED') {
      await this.move(orderNo(index), 'ROLLBACK', index);
      await this.tell(index, 'order-cancelled');
    }
    if (status !== 'PAID') return;
    await this.move(orderNo(index), 'CONFIRM', index);
    await this.pay(index, 'SUCCEEDED', 'CAPTURED');
    await this.tell(index, 'order-paid');
  }

  /** A row of the ledger; the running total is left as it is. */
  async move(of: string, movement: string, buyer = 0, at = new Date().toISOString()): Promise<void> {
    await this.admin.query(
      'INSERT INTO stock.ledger (order_no, ticket_type_id, buyer_id, movement, quantity, at) VALUES ($1, $2, $3, $4, 1, $5)',
      [of, TYPE, `b${buyer}`, movement, at],
    );
  }

  /** Redis was put right, so long after order 9 was placed. */
  async sync(ticketTypeId: string, after: string): Promise<void> {
    await this.admin.query(
      `INSERT INTO stock.ledger (order_no, ticket_type_id, buyer_id, movement, quantity, at)
       SELECT 'sync-1', $1, '', 'SYNC', 1, created_at + $2::interval FROM "order".orders WHERE order_no = $3`,
      [ticketTypeId, after, orderNo(9)],
    );
  }

  /** A payment as the shop knows it and as the provider does; over the one that the order has, if any. */
  async pay(
    index: number,
    here: string,
    there: string,
    amountMinor = 100,
    of = orderNo(index),
  ): Promise<void> {
    await this.admin.query(
      `INSERT INTO payment.payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
       VALUES ($1, $2, $3, $4, 'EUR', $5, $6, now())
       ON CONFLICT (id) DO UPDATE SET amount_minor = excluded.amount_minor, status = excluded.status`,
      [paymentId(index), of, `b${index}`, amountMinor, here, `pi${index}`],
    );
    await this.admin.query(
      `INSERT INTO payment.provider_intents (id, reference, amount_minor, currency, status)
       VALUES ($1, $2, $3, 'EUR', $4)
       ON CONFLICT (id) DO UPDATE SET amount_minor = excluded.amount_minor, status = excluded.status`,
      [`pi${index}`, paymentId(index), amountMinor, there],
    );
  }

  /** The provider sends money back, as it was asked to or by itself. */
  async sendBack(index: number, amountMinor: number, key: string): Promise<void> {
    await this.admin.query(
      `UPDATE payment.provider_intents
       SET refunded_minor = $2::bigint, status = CASE $2::bigint WHEN amount_minor THEN 'REFUNDED' ELSE status END WHERE reference = $1`,
      [paymentId(index), amountMinor],
    );
    await this.admin.query(
      'INSERT INTO payment.provider_refunds (key, intent_id, amount_minor) VALUES ($1, $2, $3)',
      [key, `pi${index}`, amountMinor],
    );
  }

  async refund(index: number, status: string, amountMinor = 100): Promise<void> {
    await this.admin.query(
      `INSERT INTO payment.refunds (id, payment_id, order_no, amount_minor, currency, reason, status, updated_at)
       VALUES (gen_random_uuid(), $1, $2, $3, 'EUR', 'sold-out', $4, now())`,
      [paymentId(index), orderNo(index), amountMinor, status],
    );
  }

  /** A webhook that the provider will send in an hour; it has tried so often. */
  async webhook(index: number, attempts: number): Promise<void> {
    await this.admin.query(
      `INSERT INTO payment.provider_webhooks (event_id, body, due_at, attempts)
       VALUES (gen_random_uuid(), $1, now() + interval '1 hour', $2)`,
      [JSON.stringify({ paymentId: paymentId(index) }), attempts],
    );
  }

  /** By all channels, and the mail arrives. */
  async tell(index: number, kind: string): Promise<void> {
    for (const channel of CHANNELS) {
      await this.admin.query(
        `INSERT INTO notification.deliveries (id, subject_id, kind, channel, recipient, text, status, sent_at)
         VALUES (gen_random_uuid(), $1, $2, $3, $4, 't', 'SENT', now())`,
        [orderNo(index), kind, channel, `b${index}`],
      );
    }
    await this.admin.query(
      `INSERT INTO notification.mailbox (message_id, sender, recipient, subject, text) VALUES ($1, 's', $2, $3, 't')`,
      [
        `<${kind}.${orderNo(index)}@notifications.stampede.example>`,
        `b${index}@x`,
        `${kind} ${orderNo(index)}`,
      ],
    );
  }

  /** The order was placed just now. */
  async rejuvenate(index: number): Promise<void> {
    await this.admin.query(
      `UPDATE "order".orders SET history = jsonb_set(history, '{0,at}', to_jsonb(now())) WHERE order_no = $1`,
      [orderNo(index)],
    );
    await this.setHold(index, `s|1|${Date.now()}|0|0|0|b${index}`);
  }

  /** As libs/redis-stock/src/lua/hold.lua draws it. */
  async setHold(index: number, hold: string): Promise<void> {
    await this.redis.hset(`${KEYS}holds`, orderNo(index), hold);
  }

  async dropHold(index: number): Promise<void> {
    await this.redis.hdel(`${KEYS}holds`, orderNo(index));
  }

  /** Adds to the counters. */
  async count(fields: Readonly<Record<string, number>>): Promise<void> {
    for (const [field, by] of Object.entries(fields)) await this.redis.hincrby(`${KEYS}counter`, field, by);
  }

  async forgetCounters(): Promise<void> {
    await this.redis.del(`${KEYS}counter`);
  }

  async charge(buyerId: string, quantity: number): Promise<void> {
    await this.redis.hincrby(`${KEYS}buyers`, buyerId, quantity);
  }
}
