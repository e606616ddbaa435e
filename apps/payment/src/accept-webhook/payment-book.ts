import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import { RefundReason, type PaymentWebhook } from '#libs/contracts';
import { WriteRaceLost } from '#libs/messaging';
import { inTime, isUniqueViolation, type DatabaseTransaction } from '#libs/service-kit';

const PaymentRow = z.object({
  id: z.string(),
  order_no: z.string(),
  buyer_id: z.string(),
  intent_id: z.string(),
  amount_minor: z.coerce.number(),
  currency: z.string(),
  status: z.enum(['PENDING', 'SUCCEEDED', 'FAILED']),
  refund_status: z.enum(['REQUESTED', 'SUCCEEDED']).nullable(),
  refund_reason: RefundReason.nullable(),
  known_event: z.boolean(),
});
/** A payment, its refund if any, and whether the webhook in question was accepted before. */
export type PaymentRow = z.output<typeof PaymentRow>;

/** What webhooks read and write: payments, refunds and the events that were accepted. */
@Injectable()
export class PaymentBook {
  constructor(private readonly database: PrismaClient) {}

  /** What each of these webhooks meets, in their order; undefined where there is no such payment. */
  async find(
    webhooks: readonly Pick<PaymentWebhook, 'paymentId' | 'eventId'>[],
  ): Promise<(PaymentRow | undefined)[]> {
    const rows = await this.database.$queryRawUnsafe<{ nr: number }[]>(
      `SELECT w.nr::int, p.id::text, p.order_no, p.buyer_id, p.intent_id, p.amount_minor, p.currency, p.status,
              r.status AS refund_status, r.reason AS refund_reason,
              EXISTS (SELECT 1 FROM webhook_events AS e WHERE e.event_id = w.event_id) AS known_event
       FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w(payment_id, event_id, nr)
       JOIN payments AS p ON p.id = w.payment_id
       LEFT JOIN refunds AS r ON r.payment_id = p.id`,
      webhooks.map(({ paymentId }) => paymentId),
      webhooks.map(({ eventId }) => eventId),
    );
    const found = new Map(rows.map((row) => [row.nr, PaymentRow.parse(row)]));
    return webhooks.map((_, index) => found.get(index + 1));
  }

  /**
   * The events and the new status of their payments, each of another payment, in one statement: an event
   * that is stored has had its effect.
   *
   * @throws {WriteRaceLost} when one of the payments is no longer in one of `from`, or one of the events is
   *   stored already, or the write deadline has passed; nothing is written then.
   */
  async settlePayments(
    webhooks: readonly PaymentWebhook[],
    from: readonly string[],
    to: 'SUCCEEDED' | 'FAILED',
    at: string,
    tx?: DatabaseTransaction,
  ): Promise<void> {
    await this.write({ table: 'payments', key: 'id', from, to }, webhooks, at, tx);
  }

  /** @throws {WriteRaceLost} when the refund is done already; see `settlePayments`. */
  async settleRefund(webhook: PaymentWebhook, at: string, tx?: DatabaseTransaction): Promise<void> {
    await this.write(
      { table: 'refunds', key: 'payment_id', from: ['REQUESTED'], to: 'SUCCEEDED' },
      [webhook],
      at,
      tx,
    );
  }

  /** Writes down a refund that nobody here has asked for, so that it can be settled like any other. Repeating it changes nothing. */
  async adoptRefund(payment: PaymentRow): Promise<void> {
    await this.database.$executeRawUnsafe(
      `INSERT INTO refunds (id, payment_id, order_no, amount_minor, currency, reason, status, updated_at)
       VALUES ($1::uuid, $2::uuid, $3, $4::bigint, $5, $6, 'REQUESTED', now())
       ON CONFLICT (payment_id) DO NOTHING`,
      randomUUID(),
      payment.id,
      payment.order_no,
      payment.amount_minor,
      payment.currency,
      'by-provider' satisfies RefundReason,
    );
  }

  /** Remembers an event that changes nothing. */
  async remember(webhook: PaymentWebhook): Promise<void> {
    await this.database.$executeRawUnsafe(
      `INSERT INTO webhook_events (event_id, payment_id, type) VALUES ($1::uuid, $2::uuid, $3)
       ON CONFLICT DO NOTHING`,
      webhook.eventId,
      webhook.paymentId,
      webhook.type,
    );
  }

  /**
   * All or nothing, because it is the local half of one transactional message: the rows are locked first
   * and counted, and a plain INSERT lets an event that is stored already undo the statement. (With `ON CONFLICT DO
   * NOTHING` an event could be kept whose payment was left as it is.) Locked in order, so that batches which
   * overlap cannot deadlock.
   */
  private async write(
    change: { table: 'payments' | 'refunds'; key: 'id' | 'payment_id'; from: readonly string[]; to: string },
    webhooks: readonly PaymentWebhook[],
    at: string,
    tx: DatabaseTransaction = this.database,
  ): Promise<void> {
    const { table, key, from, to } = change;
    let changed: number;
    try {
      changed = await tx.$executeRawUnsafe(
        `WITH ${inTime('$4::text')},
         w AS MATERIALIZED (
           SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $8::text[]::timestamptz[])
                         AS w(event_id, payment_id, type, occurred_at)),
         locked AS MATERIALIZED (
           SELECT 1 FROM ${table} AS t JOIN w ON t.${key} = w.payment_id
           WHERE t.status = ANY($5::text[]) AND (SELECT in_time.is_so FROM in_time)
           ORDER BY t.${key} FOR UPDATE OF t),
         event AS (
           INSERT INTO webhook_events (event_id, payment_id, type)
           SELECT event_id, payment_id, type FROM w WHERE (SELECT count(*) FROM locked) = $7::int
           RETURNING 1)
         UPDATE ${table} AS t SET status = $6, updated_at = now()${to === 'SUCCEEDED' && table === 'payments' ? ', captured_at = w.occurred_at' : ''} FROM w
         WHERE t.${key} = w.payment_id AND (SELECT count(*) FROM event) = $7::int`,
        webhooks.map(({ eventId }) => eventId),
        webhooks.map(({ paymentId }) => paymentId),
        webhooks.map(({ type }) => type),
        at,
        from,
        to,
        webhooks.length,
        webhooks.map(({ occurredAt }) => storable(occurredAt)),
      );
    } catch (error) {
      if (isUniqueViolation(error)) throw new WriteRaceLost({ cause: error });
      throw error;
    }
    if (changed !== webhooks.length) throw new WriteRaceLost();
  }
}

/** A time that Postgres reads, in milliseconds: of a year 0, which ISO 8601 has, the first of Unix's. */
const storable = (instant: string): string => new Date(Math.max(Date.parse(instant), 0)).toISOString();
