import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import {
  InstantMs,
  type DeadLetterStatus,
  type ListDeadLettersQuery,
  type RedriveFilter,
} from '#libs/contracts';
import { pageCursor } from '#libs/service-kit';
import { Prisma, PrismaClient, type DeadLetter } from '#prisma/ops';
import type { DeadLetterRecord } from '../domain/dead-letter.js';

const CURSOR = pageCursor(z.tuple([InstantMs, z.string().max(64)]));

/** Longer than the broker takes to answer. */
const MAX_WORK_MS = 30_000;

/** Everything of a dead letter but its body, which may be a megabyte. */
export type DeadLetterRow = Omit<DeadLetter, 'body'>;

/** Which dead letters; an absent field takes all. */
type Filter = {
  [Field in keyof RedriveFilter['filter']]: RedriveFilter['filter'][Field] | undefined;
} & { status?: DeadLetterStatus | undefined };

/** The dead letters of every group, one row per group and message. */
@Injectable()
export class DeadLetterStore {
  constructor(private readonly prisma: PrismaClient) {}

  /**
   * Stores all in one statement. A letter that died again after a redrive is DEAD again, with its
   * longer history; the same death delivered twice changes nothing, also when an operator has
   * resolved it in between.
   */
  async keep(records: readonly DeadLetterRecord[]): Promise<void> {
    const rows = JSON.stringify(latestDeaths(records).map(toRow));
    await this.prisma.$executeRaw`
      INSERT INTO dead_letters
        (id, consumer_group, message_id, topic, tag, key, reason, error, attempts, headers, body, born_at, dead_at, status)
      SELECT id, consumer_group, message_id, topic, tag, key, reason, error, attempts, headers,
             decode(body, 'base64'), born_at, dead_at, 'DEAD'
      FROM jsonb_to_recordset(${rows}::jsonb) AS r(
        id text, consumer_group text, message_id text, topic text, tag text, key text, reason text, error text,
        attempts jsonb, headers jsonb, body text, born_at timestamptz, dead_at timestamptz)
      ON CONFLICT (id) DO UPDATE SET
        reason = excluded.reason, error = excluded.error, attempts = excluded.attempts,
        headers = excluded.headers, body = excluded.body, dead_at = excluded.dead_at,
        status = 'DEAD', resolved_at = NULL
      WHERE dead_letters.dead_at < excluded.dead_at`;
  }

  /** With its body; null when unknown. */
  find(id: string, database: Prisma.TransactionClient = this.prisma): Promise<DeadLetter | null> {
    return database.deadLetter.findUnique({ where: { id } });
  }

  /** One work on a letter after the other, whichever process they are in. Whoever brings new deaths does not wait for it. */
  exclusively<T>(id: string, work: (database: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    return this.prisma.$transaction(
      async (database) => {
        await database.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${id}, 0))`;
        return work(database);
      },
      { timeout: MAX_WORK_MS },
    );
  }

  /** Newest first. */
  async page(
    query: ListDeadLettersQuery,
  ): Promise<{ rows: DeadLetterRow[]; nextCursor: string | undefined }> {
    const { group, reason, status, cursor, limit } = query;
    const rows = await this.prisma.deadLetter.findMany({
      where: { AND: [where({ group, reason, status }), cursor === undefined ? {} : before(cursor)] },
      orderBy: [{ deadAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
      omit: { body: true },
    });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      rows: page,
      nextCursor: rows.length > limit && last ? CURSOR.encode([last.deadAt.getTime(), last.id]) : undefined,
    };
  }

  /** Dead ones that match, oldest first. */
  oldest(filter: Filter, limit: number): Promise<DeadLetterRow[]> {
    return this.prisma.deadLetter.findMany({
      where: where({ ...filter, status: 'DEAD' }),
      orderBy: [{ deadAt: 'asc' }, { id: 'asc' }],
      take: limit,
      omit: { body: true },
    });
  }

  count(filter: Filter): Promise<number> {
    return this.prisma.deadLetter.count({ where: where({ ...filter, status: 'DEAD' }) });
  }

  /** How many each group has now; groups without any are absent. */
  async countByGroup(): Promise<Map<string, number>> {
    const counts = await this.prisma.deadLetter.groupBy({
      by: ['group'],
      where: { status: 'DEAD' },
      _count: { _all: true },
    });
    return new Map(counts.map(({ group, _count }) => [group, _count._all]));
  }

  /** Shows what the broker has been told to give back instead, and notes who asked. A letter that died again since shows its newest death. */
  async edit(
    { id, deadAt, group, topic, tag, messageId }: DeadLetterRow,
    edit: { body?: Uint8Array<ArrayBuffer>; headers?: Record<string, string> },
    actor: string,
    database: Prisma.TransactionClient,
  ): Promise<void> {
    const detail = `${group} ${topic}.${tag} ${messageId}: ${Object.keys(edit).sort().join(', ')}`;
    await database.deadLetter.updateMany({ where: { id, deadAt, status: 'DEAD' }, data: edit });
    await database.auditEntry.create({ data: { actor, action: 'dead-letter.edit', subject: id, detail } });
  }

  /**
   * Notes what was done about exactly this death, and by whom. The row is left alone when somebody else resolved it,
   * or when the letter has died again since it was read: that death is still to be resolved. What the broker has
   * done (`done`) is audited all the same: a letter that dies again at once was given back nevertheless.
   */
  async resolve(
    letter: Pick<DeadLetter, 'id' | 'deadAt'>,
    status: Exclude<DeadLetterStatus, 'DEAD'>,
    { done, ...audit }: { actor: string; detail: string; done: boolean },
  ): Promise<void> {
    await this.prisma.$transaction(async (tx) => {
      const { count } = await tx.deadLetter.updateMany({
        where: { id: letter.id, deadAt: letter.deadAt, status: 'DEAD' },
        data: { status, resolvedAt: new Date() },
      });
      if (count === 0 && !done) return;
      const action = status === 'REDRIVEN' ? 'dead-letter.redrive' : 'dead-letter.discard';
      await tx.auditEntry.create({ data: { ...audit, action, subject: letter.id } });
    });
  }
}

/** `ON CONFLICT` may meet a row once per statement, so the batch keeps one death of each letter: the last. */
function latestDeaths(records: readonly DeadLetterRecord[]): DeadLetterRecord[] {
  const latest = new Map<string, DeadLetterRecord>();
  for (const record of records) {
    const known = latest.get(record.id);
    if (known === undefined || known.deadAt < record.deadAt) latest.set(record.id, record);
  }
  return [...latest.values()];
}

function toRow(record: DeadLetterRecord): Record<string, unknown> {
  return {
    id: record.id,
    consumer_group: record.group,
    message_id: record.messageId,
    topic: record.topic,
    tag: record.tag,
    key: record.key ?? null,
    reason: record.reason,
    error: record.error,
    attempts: record.attempts,
    headers: record.headers,
    body: Buffer.from(record.body).toString('base64'),
    born_at: record.bornAt.toISOString(),
    dead_at: record.deadAt.toISOString(),
  };
}

function where({ group, topic, tag, reason, before: until, status }: Filter): Prisma.DeadLetterWhereInput {
  return {
    ...(group === undefined ? {} : { group }),
    ...(topic === undefined ? {} : { topic }),
    ...(tag === undefined ? {} : { tag }),
    ...(reason === undefined ? {} : { reason }),
    ...(until === undefined ? {} : { deadAt: { lt: new Date(until) } }),
    ...(status === undefined ? {} : { status }),
  };
}

function before(cursor: string): Prisma.DeadLetterWhereInput {
  const [atMs, id] = CURSOR.decode(cursor);
  const deadAt = new Date(atMs);
  return { OR: [{ deadAt: { lt: deadAt } }, { deadAt, id: { lt: id } }] };
}
