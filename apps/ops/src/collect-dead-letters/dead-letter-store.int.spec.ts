import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import { openDatabase } from '#libs/service-kit';
import { startPostgres, type TestPostgres } from '#libs/service-kit/testing';
import { deadLetterFrom, type DeadLetterRecord } from '../domain/dead-letter.js';
import { toSummary, toView } from '../inspect-dead-letters/dead-letter-view.js';
import { DeadLetterStore } from './dead-letter-store.js';

let postgres: TestPostgres;
let prisma: PrismaClient;
let store: DeadLetterStore;

beforeAll(async () => {
  postgres = await startPostgres();
  const logger = pino({ level: 'silent' });
  prisma = openDatabase(PrismaClient, { url: postgres.url('ops'), schema: 'ops', logger });
  store = new DeadLetterStore(prisma);
}, 60_000);
afterAll(async () => {
  await prisma?.$disconnect();
  await postgres?.stop();
});
beforeEach(async () => {
  await prisma.deadLetter.deleteMany();
  await prisma.auditEntry.deleteMany();
});

const T0 = Date.parse('2026-01-01T00:00:00Z');

function letter(id: string, deadAtMs = T0, headers: Record<string, string> = {}): DeadLetterRecord {
  return deadLetterFrom({
    id,
    topic: '%DLQ%stock.confirm',
    tag: 'paid',
    key: undefined,
    partition: 0,
    offset: 0,
    headers: {
      'x-dead-letter-group': 'stock.confirm',
      'x-dead-letter-reason': 'rejected',
      'x-dead-letter-at': String(deadAtMs),
      ...headers,
    },
    body: Buffer.from([0, 1, 255]),
    bornAtMs: T0 - 1,
    storedAtMs: deadAtMs,
    priority: 4,
  });
}
const attempts = (count: number) => ({
  'x-dead-letter-attempts': JSON.stringify(
    Array.from({ length: count }, (_, index) => ({
      attempt: index + 1,
      atMs: T0,
      consumer: 'c',
      error: 'e',
    })),
  ),
});
const actor = { actor: 'somebody', detail: 'm', done: true };

describe('the store of dead letters', () => {
  test('keeps one row per group and message, byte for byte', async () => {
    await store.keep([letter('m'), letter('m'), letter('n')]);
    await store.keep([letter('m')]);
    expect(await prisma.deadLetter.count()).toBe(2);
    const found = await store.find(letter('m').id);
    expect(found).toMatchObject({ status: 'DEAD', reason: 'rejected', key: null, deadAt: new Date(T0) });
    expect([...(found?.body ?? [])]).toEqual([0, 1, 255]);
  });

  test('keeps what Postgres would refuse: NUL and lone surrogates', async () => {
    await store.keep([letter('a\0b', T0, { 'x-dead-letter-error': '\0 \udfff', odd: 'x\0' })]);
    expect(await prisma.deadLetter.count()).toBe(1);
  });

  test('makes a letter DEAD again when it died again after a redrive, with its longer history', async () => {
    const first = letter('m', T0, attempts(1));
    await store.keep([first]);
    await store.resolve(first, 'REDRIVEN', actor);
    expect(await store.find(first.id)).toMatchObject({ status: 'REDRIVEN' });
    await store.keep([letter('m', T0 + 5, attempts(3))]);
    const found = await store.find(first.id);
    expect(found).toMatchObject({ status: 'DEAD', resolvedAt: null, deadAt: new Date(T0 + 5) });
    expect(found?.attempts).toHaveLength(3);
  });

  test('does not wake a resolved letter when the same death is delivered again', async () => {
    const first = letter('m');
    await store.keep([first]);
    await store.resolve(first, 'DISCARDED', actor);
    await store.keep([letter('m')]);
    expect((await store.find(first.id))?.status).toBe('DISCARDED');
  });

  test('resolves exactly the death that was read, once, and notes who did', async () => {
    const first = letter('m');
    await store.keep([first]);
    await store.keep([letter('m', T0 + 5)]);
    await store.resolve(first, 'REDRIVEN', { ...actor, done: false });
    expect((await store.find(first.id))?.status).toBe('DEAD');
    await Promise.all(
      (['REDRIVEN', 'DISCARDED'] as const).map((status) =>
        store.resolve(letter('m', T0 + 5), status, { ...actor, done: false }),
      ),
    );
    expect((await store.find(first.id))?.status).not.toBe('DEAD');
    expect(await prisma.auditEntry.findMany()).toMatchObject([{ actor: 'somebody', subject: first.id }]);
  });

  test('notes a redrive that the broker made also when the letter died again before the row could follow', async () => {
    const first = letter('m');
    await store.keep([first]);
    await store.keep([letter('m', T0 + 5)]);
    await store.resolve(first, 'REDRIVEN', actor);
    expect((await store.find(first.id))?.status).toBe('DEAD');
    expect(await prisma.auditEntry.findMany()).toMatchObject([{ action: 'dead-letter.redrive' }]);
  });

  test('pages through all, newest first, also where many died in one millisecond', async () => {
    await store.keep(
      Array.from({ length: 25 }, (_, index) => letter(`m${index}`, T0 + Math.floor(index / 5))),
    );
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.page({ limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.rows.map(({ messageId }) => messageId));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(25);
    expect(seen.slice(0, 5).sort()).toEqual(['m20', 'm21', 'm22', 'm23', 'm24']);
    for (const made of ['nonsense', Buffer.from('1:a\0').toString('base64url')]) {
      await expect(store.page({ limit: 4, cursor: made })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    }
  });

  test('lists and pages letters of whatever time their headers tell', async () => {
    const far = {
      'x-dead-letter-at': '9'.repeat(15),
      'x-dead-letter-attempts': '[{"attempt":1,"atMs":1e300,"consumer":"c","error":"e"}]',
    };
    await store.keep([{ ...letter('m', T0, far) }, letter('n', T0)]);
    const { rows } = await store.page({ limit: 2 });
    expect(rows.map((row) => toSummary(row).deadAt)).toEqual([
      new Date(T0).toISOString(),
      new Date(T0).toISOString(),
    ]);
    const found = await store.find(letter('m').id);
    // As earlier versions kept it.
    const kept = { ...found!, attempts: [{ attempt: 1, atMs: 1e300, consumer: 'c', error: 'e' }] };
    expect(toView(kept).attempts[0]?.at).toMatch(/^9999-/);
    for (const atMs of [253_402_300_800_000, 8_640_000_000_000_001]) {
      const cursor = Buffer.from(JSON.stringify([atMs, 'x'])).toString('base64url');
      await expect(store.page({ limit: 1, cursor })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    }
  });

  test('finds what a filter names, and counts the dead of each group', async () => {
    await store.keep([
      letter('m', T0),
      letter('n', T0 + 10),
      letter('o', T0, { 'x-dead-letter-group': 'other' }),
    ]);
    await store.resolve(letter('n', T0 + 10), 'REDRIVEN', actor);
    expect((await store.page({ limit: 9, group: 'other' })).rows.map((row) => row.messageId)).toEqual(['o']);
    expect((await store.page({ limit: 9, status: 'REDRIVEN' })).rows.map((row) => row.messageId)).toEqual([
      'n',
    ]);
    const before = new Date(T0 + 1).toISOString();
    expect((await store.oldest({ before }, 9)).map((row) => row.messageId).sort()).toEqual(['m', 'o']);
    expect(await store.count({ group: 'stock.confirm' })).toBe(1);
    expect(await store.countByGroup()).toEqual(
      new Map([
        ['stock.confirm', 1],
        ['other', 1],
      ]),
    );
  });
});
