import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import type { PaymentWebhook } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { Batcher } from '#libs/service-kit';
import { INTENT_STATUSES, type IntentStatus } from './intent-state.js';
import { WebhookDispatcher } from './webhooks/webhook-dispatcher.js';

const Intent = z.object({
  id: z.string(),
  /** The shop's payment id. */
  reference: z.string(),
  amountMinor: z.coerce.number(),
  currency: z.string(),
  status: z.enum(INTENT_STATUSES),
  /** What went back; with all of it the status is `REFUNDED`. */
  refundedMinor: z.coerce.number(),
  capturedAt: z.date().nullable(),
});
export type Intent = z.output<typeof Intent>;
export type NewIntent = Pick<Intent, 'reference' | 'amountMinor' | 'currency'>;
export type WebhookPlan = {
  type: PaymentWebhook['type'];
  delayMs: number;
  /** Copies beside the first one. */
  duplicates: number;
};

type Move = { intent: Intent; to: IntentStatus; webhook: WebhookPlan };

/** Copies of a webhook come this much apart at most, so that they meet and overtake other webhooks. */
const DUPLICATE_SPREAD_MS = 250;
const MAX_BATCH = 100;
/** What `open` makes. Nothing else is looked for: a path that no text column can hold would fail the whole batch. */
const INTENT_ID = /^pi_[0-9a-f]{32}$/;

/**
 * The simulated provider's own book, in batches of whatever comes at the same time. An intent's change
 * and the webhooks that tell of it are one statement.
 */
@Injectable()
export class ProviderBook {
  private readonly opens = new Batcher(MAX_BATCH, (intents: readonly NewIntent[]) => this.openAll(intents));
  private readonly reads = new Batcher(MAX_BATCH, (ids: readonly string[]) => this.getAll(ids));
  private readonly moves = new Batcher(MAX_BATCH, (moves: readonly Move[]) => this.moveAll(moves));

  constructor(
    private readonly database: PrismaClient,
    private readonly dispatcher: WebhookDispatcher,
  ) {}

  /**
   * The id of the intent of this reference; made when there is none. The reference is the idempotency key.
   *
   * @throws {DomainError} `IDEMPOTENCY_KEY_REUSED` when it was used for another amount.
   */
  async open(intent: NewIntent): Promise<string> {
    const id = await this.opens.add(intent);
    if (id === undefined) throw keyReused(`The reference ${intent.reference}`);
    return id;
  }

  /** @throws {DomainError} `INTENT_NOT_FOUND`. */
  async get(intentId: string): Promise<Intent> {
    const intent = INTENT_ID.test(intentId) ? await this.reads.add(intentId) : undefined;
    if (intent === undefined) {
      throw new DomainError('INTENT_NOT_FOUND', 'not-found', 'There is no such checkout.');
    }
    return intent;
  }

  /** Moves an intent and queues its webhooks. False when the intent is no longer in its status; nothing happens then. */
  async move(intent: Intent, to: IntentStatus, webhook: WebhookPlan): Promise<boolean> {
    const isMoved = await this.moves.add({ intent, to, webhook });
    if (isMoved) this.dispatcher.wakeUp();
    return isMoved;
  }

  /** Undefined where the reference is another amount's. */
  private async openAll(intents: readonly NewIntent[]): Promise<(string | undefined)[]> {
    // One statement must not meet one row twice.
    const distinct = [...new Map(intents.map((intent) => [intent.reference.toLowerCase(), intent])).values()];
    // An update that changes nothing, because DO NOTHING would return no row for an intent that exists.
    const rows = await this.database.$queryRawUnsafe<unknown[]>(
      `INSERT INTO provider_intents (id, reference, amount_minor, currency, status)
       SELECT id, reference, amount_minor, currency, 'OPEN'
       FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) AS i(id, reference, amount_minor, currency)
       ORDER BY reference
       ON CONFLICT (reference) DO UPDATE SET reference = excluded.reference
       RETURNING id, reference::text, amount_minor AS "amountMinor", currency, status,
                 refunded_minor AS "refundedMinor", captured_at AS "capturedAt"`,
      distinct.map(() => `pi_${randomUUID().replaceAll('-', '')}`),
      distinct.map(({ reference }) => reference),
      distinct.map(({ amountMinor }) => amountMinor),
      distinct.map(({ currency }) => currency),
    );
    const opened = rows.map((row) => Intent.parse(row));
    return intents.map(
      ({ reference, amountMinor, currency }) =>
        opened.find(
          (intent) =>
            intent.reference === reference.toLowerCase() &&
            intent.amountMinor === amountMinor &&
            intent.currency === currency,
        )?.id,
    );
  }

  private async getAll(ids: readonly string[]): Promise<(Intent | undefined)[]> {
    const rows = await this.database.$queryRawUnsafe<unknown[]>(
      `SELECT id, reference::text, amount_minor AS "amountMinor", currency, status,
              refunded_minor AS "refundedMinor", captured_at AS "capturedAt"
       FROM provider_intents WHERE id = ANY($1::text[])`,
      ids,
    );
    const intents = new Map(rows.map((row) => Intent.parse(row)).map((intent) => [intent.id, intent]));
    return ids.map((id) => intents.get(id));
  }

  /** Of several moves of one intent one is made. The rows are locked in order, so that batches which overlap cannot deadlock. */
  private async moveAll(moves: readonly Move[]): Promise<boolean[]> {
    const eventIds = moves.map(() => randomUUID());
    const moved = await this.database.$queryRawUnsafe<{ event_id: string }[]>(
      `WITH m AS MATERIALIZED (
         SELECT m.* FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::int[], $7::int[])
                         AS m(id, current, next, event_id, body, delay_ms, copies)
         JOIN provider_intents AS i ON i.id = m.id AND i.status = m.current
         ORDER BY m.id FOR UPDATE OF i),
       moved AS (
         UPDATE provider_intents AS i
         SET status = m.next,
             captured_at = CASE m.next WHEN 'CAPTURED' THEN (m.body::json->>'occurredAt')::timestamptz ELSE i.captured_at END
         FROM m
         WHERE i.id = m.id AND i.status = m.current
         RETURNING m.event_id, m.body, m.delay_ms, m.copies)
       INSERT INTO provider_webhooks (event_id, body, due_at)
       SELECT event_id, body,
              now() + (delay_ms + CASE copy WHEN 0 THEN 0 ELSE random() * $8::int END) * interval '1 millisecond'
       FROM moved, generate_series(0, copies) AS copy
       RETURNING event_id::text`,
      moves.map(({ intent }) => intent.id),
      moves.map(({ intent }) => intent.status),
      moves.map(({ to }) => to),
      eventIds,
      moves.map((move, index) => bodyOf(move, eventIds[index] ?? '')),
      moves.map(({ webhook }) => webhook.delayMs),
      moves.map(({ webhook }) => webhook.duplicates),
      DUPLICATE_SPREAD_MS,
    );
    const made = new Set(moved.map((row) => row.event_id));
    return eventIds.map((eventId) => made.has(eventId));
  }
}

export const keyReused = (what: string): DomainError =>
  new DomainError('IDEMPOTENCY_KEY_REUSED', 'invalid', `${what} was used for something else.`);

function bodyOf({ intent, webhook }: Move, eventId: string): string {
  return JSON.stringify({
    eventId,
    type: webhook.type,
    paymentId: intent.reference,
    amountMinor: intent.amountMinor,
    currency: intent.currency,
    occurredAt: new Date().toISOString(),
  } satisfies PaymentWebhook);
}
