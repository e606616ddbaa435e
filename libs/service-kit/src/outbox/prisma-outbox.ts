import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { ClaimBounds, ClaimedMessage, OutboxMessage, OutboxStore, Settlement } from '#libs/messaging';
import type { DatabaseTransaction, ServiceDatabase, TransactionalDatabase } from '../database/database.js';

/** Rows of `outbox_shards`. Never fewer: rows of a shard that nobody locks would not be sent. */
export const OUTBOX_SHARDS = 16;
/** So that four relays have something to do at the same time, and one that hangs holds up a quarter. */
const MAX_SHARDS_PER_CLAIM = 4;
const MAX_WAIT_FOR_CONNECTION_MS = 10_000;
/** Longer than a relay waits for the broker, shorter than the session's `idle_in_transaction_session_timeout`. */
const TRANSACTION_TIMEOUT_MS = 20_000;

/** Living rows that may go: neither they nor anything of their key before them waits for another try. */
const IS_DUE = `o.dead_at IS NULL AND (o.retry_at IS NULL OR o.retry_at <= clock_timestamp())
  AND NOT EXISTS (SELECT 1 FROM outbox AS w WHERE w.key = o.key AND w.id < o.id AND w.retry_at > clock_timestamp())`;

const CLAIM = `
  SELECT s.shard::int AS shard FROM outbox_shards AS s
  CROSS JOIN LATERAL (
    SELECT o.id FROM outbox AS o WHERE o.shard = s.shard AND ${IS_DUE} ORDER BY o.id LIMIT 1) AS head
  ORDER BY head.id LIMIT ${MAX_SHARDS_PER_CLAIM} FOR UPDATE OF s SKIP LOCKED`;

/** A prefix of each shard, and of all of them together: as many as fit, at least one. */
const READ = `
  SELECT id::text AS row_id, message_id, topic, tag, key, headers, options, body, refusals FROM (
    SELECT due.*, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS bytes_before FROM (
      SELECT o.* FROM unnest($1::int[]) AS s(shard)
      CROSS JOIN LATERAL (
        SELECT * FROM outbox AS o WHERE o.shard = s.shard AND ${IS_DUE} ORDER BY o.id LIMIT $2::int) AS o
      ORDER BY o.id LIMIT $2::int) AS due) AS summed
  WHERE bytes_before < $3::bigint ORDER BY summed.id`;

const REFUSE = `
  UPDATE outbox AS o SET refusals = r.refusals, error = r.error,
    retry_at = clock_timestamp() + r.after_ms * interval '1 millisecond',
    dead_at = CASE WHEN r.after_ms IS NULL THEN clock_timestamp() END
  FROM unnest($1::bigint[], $2::int[], $3::text[], $4::float8[]) AS r(id, refusals, error, after_ms)
  WHERE o.id = r.id`;

const Row = z.object({
  row_id: z.string(),
  message_id: z.string(),
  topic: z.string(),
  tag: z.string(),
  key: z.string().nullable(),
  headers: z.record(z.string(), z.string()),
  options: z.object({
    deliverAtMs: z.number().optional(),
    timerId: z.string().optional(),
    ttlMs: z.number().optional(),
    priority: z.number().optional(),
  }),
  body: z.instanceof(Uint8Array),
  refusals: z.number(),
});

/**
 * The outbox in the service's own schema.
 *
 * Order per key with several relays: a key belongs to a shard, and a claim locks rows of `outbox_shards`, passing over those
 * that somebody else has locked. What is to be sent is read by a statement of its own *after* that, so it sees all that the
 * holder before has deleted. The lock ends with the transaction, so with whoever held it, however that ended.
 */
export class PrismaOutbox implements OutboxStore<DatabaseTransaction> {
  private readonly database: TransactionalDatabase;

  /** @param schema the service's; its name is the channel's on which a relay is woken */
  constructor(
    database: ServiceDatabase,
    private readonly schema: string,
  ) {
    this.database = database as TransactionalDatabase;
  }

  write<T>(messages: readonly OutboxMessage[], local: (tx: DatabaseTransaction) => Promise<T>): Promise<T> {
    return this.transaction(async (tx) => {
      const result = await local(tx);
      await tx.$queryRawUnsafe(
        `WITH written AS (
           INSERT INTO outbox (shard, message_id, topic, tag, key, headers, options, body)
           SELECT shard, message_id, topic, tag, key, headers, options, decode(body, 'base64')
           FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::text[])
                WITH ORDINALITY AS m(shard, message_id, topic, tag, key, headers, options, body, nr)
           ORDER BY nr RETURNING 1)
         SELECT pg_notify($9, '')::text FROM (SELECT count(*) FROM written) AS counted`,
        messages.map(({ key }) => shardOf(key)),
        messages.map(({ id }) => id),
        messages.map(({ topic }) => topic),
        messages.map(({ tag }) => tag),
        messages.map(({ key }) => key ?? null),
        messages.map(({ headers = {} }) => JSON.stringify(headers)),
        messages.map(({ deliverAtMs, timerId, ttlMs, priority }) =>
          JSON.stringify({ deliverAtMs, timerId, ttlMs, priority }),
        ),
        messages.map(({ body }) => Buffer.from(body).toString('base64')),
        outboxChannel(this.schema),
      );
      return result;
    });
  }

  claim(
    { maxMessages, maxBytes }: ClaimBounds,
    send: (claimed: readonly ClaimedMessage[]) => Promise<Settlement>,
  ): Promise<number> {
    return this.transaction(async (tx) => {
      const shards = await tx.$queryRawUnsafe<{ shard: number }[]>(CLAIM);
      if (shards.length === 0) return 0;
      const held = shards.map(({ shard }) => shard);
      const rows = await tx.$queryRawUnsafe<unknown[]>(READ, held, maxMessages, maxBytes);
      if (rows.length === 0) return 0;
      const { sent, refused } = await send(rows.map(claimedOf));
      if (sent.length > 0)
        await tx.$executeRawUnsafe('DELETE FROM outbox WHERE id = ANY($1::bigint[])', sent);
      if (refused.length > 0) {
        await tx.$executeRawUnsafe(
          REFUSE,
          refused.map(({ rowId }) => rowId),
          refused.map(({ refusals }) => refusals),
          refused.map(({ error }) => error),
          refused.map(({ retryAfterMs }) => retryAfterMs ?? null),
        );
      }
      return rows.length;
    });
  }

  private transaction<T>(work: (tx: DatabaseTransaction) => Promise<T>): Promise<T> {
    const options = { maxWait: MAX_WAIT_FOR_CONNECTION_MS, timeout: TRANSACTION_TIMEOUT_MS };
    return this.database.$transaction(work, options);
  }
}

/** What has no key has no order, and goes anywhere. */
const shardOf = (key = String(Math.random())): number => crc32(key) % OUTBOX_SHARDS;

function claimedOf(found: unknown): ClaimedMessage {
  const { row_id, message_id, topic, tag, key, headers, options, body, refusals } = Row.parse(found);
  const { deliverAtMs, timerId, ttlMs, priority } = options;
  return {
    rowId: row_id,
    refusals,
    message: {
      ...{ id: message_id, topic, tag, headers, body },
      ...(key !== null && { key }),
      ...(deliverAtMs !== undefined && { deliverAtMs }),
      ...(timerId !== undefined && { timerId }),
      ...(ttlMs !== undefined && { ttlMs }),
      ...(priority !== undefined && { priority }),
    },
  };
}

/** Where a relay listens for what was written. */
export const outboxChannel = (schema: string): string => `outbox of ${schema}`;

/** Whether the service's schema has an `OutboxMessage` model. */
export function hasOutbox(database: ServiceDatabase): boolean {
  return 'outboxMessage' in database;
}
