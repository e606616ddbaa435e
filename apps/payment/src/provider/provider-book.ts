import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import type { PaymentWebhook } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { INTENT_STATUSES, type IntentStatus } from './intent-state.js';
import { WebhookDispatcher } from './webhooks/webhook-dispatcher.js';

const Intent = z.object({
  id: z.string(),
  /** The shop's payment id. */
  reference: z.string(),
  amountMinor: z.coerce.number(),
  currency: z.string(),
  status: z.enum(INTENT_STATUSES),
});
export type Intent = z.output<typeof Intent>;
export type WebhookPlan = {
  type: PaymentWebhook['type'];
  delayMs: number;
  /** Copies beside the first one. */
  duplicates: number;
};

/** Copies of a webhook come this much apart at most, so that they meet and overtake other webhooks. */
const DUPLICATE_SPREAD_MS = 250;

/** The simulated provider's own book. An intent's change and the webhooks that tell of it are one statement. */
@Injectable()
export class ProviderBook {
  constructor(
    private readonly database: PrismaClient,
    private readonly dispatcher: WebhookDispatcher,
  ) {}

  /** The id of the intent of this reference; made when there is none. */
  async open(intent: Omit<Intent, 'id' | 'status'>): Promise<string> {
    // An update that changes nothing, because DO NOTHING would return no row for an intent that exists.
    const rows = await this.database.$queryRawUnsafe<{ id: string }[]>(
      `INSERT INTO provider_intents (id, reference, amount_minor, currency, status)
       VALUES ($1, $2::uuid, $3::bigint, $4, 'OPEN')
       ON CONFLICT (reference) DO UPDATE SET reference = excluded.reference
       RETURNING id`,
      `pi_${randomUUID().replaceAll('-', '')}`,
      intent.reference,
      intent.amountMinor,
      intent.currency,
    );
    if (rows[0] === undefined) throw new Error('an upsert returned no row');
    return rows[0].id;
  }

  /** @throws {DomainError} `INTENT_NOT_FOUND`. */
  async get(intentId: string): Promise<Intent> {
    const rows = await this.database.$queryRawUnsafe<unknown[]>(
      `SELECT id, reference::text, amount_minor AS "amountMinor", currency, status
       FROM provider_intents WHERE id = $1`,
      intentId,
    );
    if (rows[0] === undefined) {
      throw new DomainError('INTENT_NOT_FOUND', 'not-found', 'There is no such checkout.');
    }
    return Intent.parse(rows[0]);
  }

  /** Moves an intent and queues its webhooks. False when the intent is no longer in its status; nothing happens then. */
  async move(intent: Intent, to: IntentStatus, webhook: WebhookPlan): Promise<boolean> {
    const eventId = randomUUID();
    const body = {
      eventId,
      type: webhook.type,
      paymentId: intent.reference,
      amountMinor: intent.amountMinor,
      currency: intent.currency,
      occurredAt: new Date().toISOString(),
    } satisfies PaymentWebhook;
    const queued = await this.database.$executeRawUnsafe(
      `WITH moved AS (
         UPDATE provider_intents SET status = $3 WHERE id = $1 AND status = $2 RETURNING 1)
       INSERT INTO provider_webhooks (event_id, body, due_at)
       SELECT $4::uuid, $5,
              now() + ($6::int + CASE copy WHEN 0 THEN 0 ELSE random() * $8::int END) * interval '1 millisecond'
       FROM moved, generate_series(0, $7::int) AS copy`,
      intent.id,
      intent.status,
      to,
      eventId,
      JSON.stringify(body),
      webhook.delayMs,
      webhook.duplicates,
      DUPLICATE_SPREAD_MS,
    );
    if (queued > 0) this.dispatcher.wakeUp();
    return queued > 0;
  }
}
