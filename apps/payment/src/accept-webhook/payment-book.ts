import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import { RefundReason, type PaymentWebhook } from '#libs/contracts';
import { WRITE_FENCE_MS } from '../domain/write-fence.js';

const PaymentRow = z.object({
  id: z.string(),
  order_no: z.string(),
  amount_minor: z.coerce.number(),
  currency: z.string(),
  status: z.enum(['PENDING', 'SUCCEEDED', 'FAILED']),
  refund_status: z.enum(['REQUESTED', 'SUCCEEDED']).nullable(),
  refund_reason: RefundReason.nullable(),
  known_event: z.boolean(),
});
/** A payment, its refund if any, and whether the webhook in question was accepted before. */
export type PaymentRow = z.output<typeof PaymentRow>;

/** Another webhook changed the payment first, or the write came too late for its half message. */
export class WriteRaceLost extends Error {
  constructor() {
    super('another webhook came first');
    this.name = 'WriteRaceLost';
  }
}

/** What webhooks read and write: payments, refunds and the events that were accepted. */
@Injectable()
export class PaymentBook {
  constructor(private readonly database: PrismaClient) {}

  async find(paymentId: string, eventId: string): Promise<PaymentRow | undefined> {
    const rows = await this.database.$queryRawUnsafe<unknown[]>(
      `SELECT p.id::text, p.order_no, p.amount_minor, p.currency, p.status,
              r.status AS refund_status, r.reason AS refund_reason,
              EXISTS (SELECT 1 FROM webhook_events WHERE event_id = $2::uuid) AS known_event
       FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id
       WHERE p.id = $1::uuid`,
      paymentId,
      eventId,
    );
    return rows[0] === undefined ? undefined : PaymentRow.parse(rows[0]);
  }

  /**
   * The event and the payment's new status, in one statement: an event that is stored has had its effect.
   * @throws {WriteRaceLost} when the payment is no longer in one of `from`, or the event is stored already.
   */
  async settlePayment(
    webhook: PaymentWebhook,
    from: readonly string[],
    to: 'SUCCEEDED' | 'FAILED',
    at: string,
  ): Promise<void> {
    await this.write(
      `UPDATE payments SET status = $6, updated_at = now()
       WHERE id = $2::uuid AND status = ANY($5::text[]) AND EXISTS (SELECT 1 FROM event)`,
      webhook,
      at,
      from,
      to,
    );
  }

  /** @throws {WriteRaceLost} when the refund is done already. */
  async settleRefund(webhook: PaymentWebhook, at: string): Promise<void> {
    await this.write(
      `UPDATE refunds SET status = $6, updated_at = now()
       WHERE payment_id = $2::uuid AND status = ANY($5::text[]) AND EXISTS (SELECT 1 FROM event)`,
      webhook,
      at,
      ['REQUESTED'],
      'SUCCEEDED',
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

  private async write(
    update: string,
    webhook: PaymentWebhook,
    at: string,
    from: readonly string[],
    to: string,
  ): Promise<void> {
    const changed = await this.database.$executeRawUnsafe(
      `WITH event AS (
         INSERT INTO webhook_events (event_id, payment_id, type)
         SELECT $1::uuid, $2::uuid, $3 WHERE now() < $4::text::timestamptz
         ON CONFLICT DO NOTHING
         RETURNING 1)
       ${update}`,
      webhook.eventId,
      webhook.paymentId,
      webhook.type,
      new Date(Date.parse(at) + WRITE_FENCE_MS).toISOString(),
      from,
      to,
    );
    if (changed !== 1) throw new WriteRaceLost();
  }
}
