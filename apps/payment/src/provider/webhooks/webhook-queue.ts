import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import { PaymentWebhook } from '#libs/contracts';

const Due = z.object({ id: z.bigint(), body: z.string(), attempts: z.int() });
/** A webhook that is to be sent now. */
export type DueWebhook = z.output<typeof Due>;

/** Of one answer. */
const MAX_LISTED = 100;

/** Given up after this many tries, which is a day at the longest pause. */
const MAX_ATTEMPTS = 3_000;
/** A taken webhook is due again after this long, should its sender die. Longer than a request may take. */
export const TAKEN_MS = 15_000;

/** The simulated provider's webhooks, in a table: none is lost by a crash, and several processes can share the work. */
@Injectable()
export class WebhookQueue {
  constructor(private readonly database: PrismaClient) {}

  /** One that is due at once and tells of nothing in the provider's book. */
  async add(eventId: string, body: string): Promise<void> {
    await this.database.providerWebhook.create({ data: { eventId, body, dueAt: new Date() } });
  }

  /** Takes up to `limit` that are due; nobody else gets them for the next `TAKEN_MS`. */
  async take(limit: number): Promise<DueWebhook[]> {
    const rows = await this.database.$queryRawUnsafe<unknown[]>(
      `UPDATE provider_webhooks
       SET attempts = attempts + 1, due_at = now() + $2::int * interval '1 millisecond'
       WHERE id IN (
         SELECT id FROM provider_webhooks
         WHERE delivered_at IS NULL AND due_at <= now() AND attempts < $3::int
         ORDER BY due_at LIMIT $1::int FOR UPDATE SKIP LOCKED)
       RETURNING id, body, attempts`,
      limit,
      TAKEN_MS,
      MAX_ATTEMPTS,
    );
    return rows.map((row) => Due.parse(row));
  }

  /** Refunds and disputes that shops were or are to be told of, by the order of their ids, behind `after`. */
  async list(after: bigint): Promise<{ place: string; webhook?: PaymentWebhook | undefined }[]> {
    const rows = await this.database.$queryRawUnsafe<{ id: bigint; body: string }[]>(
      `SELECT id, body FROM provider_webhooks
       WHERE id > $1::bigint AND body ~ '"type":"(refund\\.succeeded|dispute\\.opened)"'
       ORDER BY id LIMIT $2::int`,
      after,
      MAX_LISTED,
    );
    // What people write into an event by hand may be anything, of any size: it has a place, no more.
    return rows.map(({ id, body }) => ({
      place: String(id),
      webhook: PaymentWebhook.safeParse(JSON.parse(body)).data,
    }));
  }

  async delivered(ids: readonly bigint[]): Promise<void> {
    await this.database.$executeRawUnsafe(
      'UPDATE provider_webhooks SET delivered_at = now() WHERE id = ANY($1::bigint[])',
      ids,
    );
  }

  async postpone(id: bigint, delayMs: number): Promise<void> {
    await this.database.$executeRawUnsafe(
      `UPDATE provider_webhooks SET due_at = now() + $2::int * interval '1 millisecond' WHERE id = $1::bigint`,
      id,
      Math.round(delayMs),
    );
  }

  /** Milliseconds until the next one is due, by the database's clock; undefined when none is waiting. */
  async nextDueInMs(): Promise<number | undefined> {
    const [row] = await this.database.$queryRawUnsafe<{ ms: number | null }[]>(
      `SELECT (extract(epoch FROM min(due_at) - now()) * 1000)::float8 AS ms
       FROM provider_webhooks WHERE delivered_at IS NULL AND attempts < $1::int`,
      MAX_ATTEMPTS,
    );
    return row?.ms ?? undefined;
  }
}
