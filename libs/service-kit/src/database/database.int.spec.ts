import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/stock';

import { FaultProxy, startPostgres, type TestPostgres } from '../testing/index.js';
import { MAX_DATABASE_CONNECTIONS, openDatabase, withStatementTimeout } from './database.js';

const ANSWER_DEADLINE_MS = 400;

let postgres: TestPostgres;
let proxy: FaultProxy;
let database: PrismaClient;
const said: string[] = [];
const logger = pino({ level: 'error' }, { write: (line) => void said.push(line) });

const open = (url: string, answerDeadlineMs?: number): PrismaClient =>
  openDatabase(PrismaClient, {
    ...{ url, schema: 'stock', logger },
    ...(answerDeadlineMs !== undefined && { answerDeadlineMs }),
  });

beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());
afterEach(async () => {
  await proxy?.stop();
  await database?.$disconnect();
});

async function throughProxy(answerDeadlineMs: number): Promise<void> {
  proxy = await FaultProxy.inFrontOf(postgres.adminUrl);
  database = open(proxy.via(postgres.url('stock')), answerDeadlineMs);
}

/** Makes as many connections as there may be; a slow machine may miss a short deadline with one of them. */
async function fillPool(): Promise<void> {
  while (proxy.connections < MAX_DATABASE_CONNECTIONS) {
    await Promise.allSettled(
      Array.from({ length: MAX_DATABASE_CONNECTIONS }, () =>
        database.$executeRawUnsafe('SELECT pg_sleep(0.05)'),
      ),
    );
  }
}

/** Asks until there is an answer, and tells how many deadlines were missed before. */
async function missedBeforeAnswer(): Promise<number> {
  for (let missed = 0; ; missed += 1) {
    const shows = await database.show.findMany().catch(() => undefined);
    if (shows === undefined) continue;
    expect(shows).toEqual([]);
    return missed;
  }
}

const setting = async (name: string): Promise<string | undefined> => {
  const rows = await database.$queryRawUnsafe<{ value: string }[]>(
    `SELECT current_setting('${name}') AS value`,
  );
  return rows[0]?.value;
};

describe('connections that stand and carry nothing any more', () => {
  test('are thrown away when one misses its deadline: whoever comes next is answered by a new one', async () => {
    await throughProxy(ANSWER_DEADLINE_MS);
    await fillPool();
    proxy.strand();
    await expect(database.show.findMany()).rejects.toThrow();
    // Each of the seven more such connections that were in the pool would cost a deadline; a slow machine one or two.
    expect(await missedBeforeAnswer()).toBeLessThan(MAX_DATABASE_CONNECTIONS / 2);
  });

  test('are not given back to the pool by a transaction that cannot be rolled back', async () => {
    // Not so short that this machine misses it by itself.
    await throughProxy(2_500);
    const doomed = database.$transaction(async (tx) => {
      await tx.show.findMany();
      proxy.strand();
      await tx.show.findMany();
    });
    await expect(doomed).rejects.toThrow();
    expect(await missedBeforeAnswer()).toBe(0);
  });

  test('are used no more after a reset either', async () => {
    await throughProxy(10_000);
    await fillPool();
    proxy.cut();
    await expect(
      (async () => {
        for (let tries = 0; tries < 2 * MAX_DATABASE_CONNECTIONS; tries += 1) {
          try {
            return await database.show.findMany();
          } catch {
            // A connection that was found broken in use.
          }
        }
        throw new Error('never well again');
      })(),
    ).resolves.toEqual([]);
  });
});

test('a statement that is allowed more time than others gets it', async () => {
  database = open(postgres.url('stock'), ANSWER_DEADLINE_MS);
  const slow = `SELECT 1 AS one FROM pg_sleep(${(1.5 * ANSWER_DEADLINE_MS) / 1000})`;
  await expect(database.$queryRawUnsafe(slow)).rejects.toThrow();
  const patient = withStatementTimeout(5_000, () => database.$transaction((tx) => tx.$queryRawUnsafe(slow)));
  expect(await patient).toEqual([{ one: 1 }]);
});

describe('every session', () => {
  test('ends statements, waits for locks and silent transactions', async () => {
    database = open(postgres.url('stock'));
    expect(await setting('statement_timeout')).toBe('15s');
    expect(await setting('lock_timeout')).toBe('5s');
    expect(await setting('idle_in_transaction_session_timeout')).toBe('30s');
  });

  test.each(['Asia/Kolkata', 'America/New_York'])(
    'is in UTC although the cluster is in %s: instants are the same here and there',
    async (zone) => {
      const admin = new pg.Client({ connectionString: postgres.adminUrl });
      await admin.connect();
      try {
        const { rows } = await admin.query<{ name: string }>('SELECT current_database() AS name');
        await admin.query(`ALTER DATABASE "${rows[0]?.name}" SET TimeZone TO '${zone}'`);
        database = open(postgres.url('stock'));
        expect(await setting('TimeZone')).toBe('UTC');
        // Without its offset, it names an hour that New York skips.
        const startsAt = new Date('2026-03-08T02:30:00.000Z');
        await database.show.create({ data: { id: zone, title: 'Show', venue: 'Hall', startsAt } });
        const [raw] = await database.$queryRawUnsafe<{ startsAt: Date; ageMs: number }[]>(
          `SELECT starts_at AS "startsAt", (extract(epoch FROM now() - $2::timestamptz) * 1000)::float8 AS "ageMs"
           FROM shows WHERE id = $1`,
          zone,
          new Date(),
        );
        expect(raw?.startsAt).toEqual(startsAt);
        expect(Math.abs(raw?.ageMs ?? NaN)).toBeLessThan(10_000);
        expect((await database.show.findUnique({ where: { id: zone } }))?.startsAt).toEqual(startsAt);
        // What the server itself has of it, asked in its own zone.
        const stored = await admin.query<{ ms: string }>(
          'SELECT (extract(epoch FROM starts_at) * 1000)::int8 AS ms FROM stock.shows WHERE id = $1',
          [zone],
        );
        expect(Number(stored.rows[0]?.ms)).toBe(startsAt.getTime());
      } finally {
        await admin.end();
      }
    },
  );

  test('of a role that does not bring its schema and UTC along is refused in one line', async () => {
    database = open(postgres.adminUrl);
    await expect(database.show.findMany()).rejects.toThrow('DATABASE_URL: sessions of postgres are in');
    expect(said.join('')).toContain('use the role stampede_stock and run the migrations');
  });
});

test.each([
  // What a slow machine takes to ask and be answered is not told as a difference.
  [-21_000, /(1[5-9]|2[01]) s behind/],
  [9_000, /[5-9] s ahead of/],
  [0, undefined],
])('a clock that is off by %s ms is told by the first session', async (offMs, told) => {
  said.length = 0;
  database = open(postgres.url('stock'));
  const now = Date.now;
  const clock = jest.spyOn(Date, 'now').mockImplementation(() => now() + offMs);
  await database.$queryRawUnsafe('SELECT 1');
  clock.mockRestore();
  const lines = said.filter((line) => line.includes('the clock of this machine'));
  expect(lines.map((line) => told?.test(line))).toEqual(told === undefined ? [] : [true]);
});
