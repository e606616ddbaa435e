import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/stock';
import { MAX_DATABASE_CONNECTIONS, openDatabase } from '../database/database.js';
import { FaultProxy, startPostgres, type TestPostgres } from '../testing/index.js';
import { toHttpProblem } from './translate.js';

const ANSWER_DEADLINE_MS = 300;

let postgres: TestPostgres;
let proxy: FaultProxy;
let database: PrismaClient;
const open = (url: string): PrismaClient =>
  openDatabase(PrismaClient, {
    url,
    schema: 'stock',
    logger: pino({ level: 'silent' }),
    answerDeadlineMs: ANSWER_DEADLINE_MS,
  });

beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());
afterEach(async () => {
  await database?.$disconnect();
  await proxy?.stop();
});

/** The ways in which services ask their database. */
const ways: [string, () => PromiseLike<unknown>][] = [
  ['a model', () => database.show.findMany()],
  ['a raw query', () => database.$queryRawUnsafe('SELECT 1')],
  ['a raw statement', () => database.$executeRawUnsafe('DELETE FROM shows')],
  ['a transaction', () => database.$transaction((tx) => tx.show.findMany())],
];

async function expectUnavailable(ask: () => PromiseLike<unknown>): Promise<void> {
  const error = await Promise.resolve(ask()).then(
    () => new Error('it was answered'),
    (error: unknown) => error,
  );
  const problem = toHttpProblem(error);
  expect({ error, ...problem }).toMatchObject({ status: 503, code: 'SERVICE_UNAVAILABLE' });
  expect(problem.headers).toEqual({ 'retry-after': '1' });
}

describe.each(ways)('asked by %s, it is 503 with Retry-After', (_way, ask) => {
  const connect = async (): Promise<void> => {
    proxy = await FaultProxy.inFrontOf(postgres.adminUrl);
    database = open(proxy.via(postgres.url('stock')));
    // A first connection may take a slow machine longer than this deadline.
    const isConnected = () =>
      database.show.findMany().then(
        () => true,
        () => false,
      );
    while (!(await isConnected()));
  };

  test('when the connection is reset', async () => {
    await connect();
    proxy.refuse();
    await expectUnavailable(ask);
  });

  test('when nothing listens', async () => {
    await connect();
    const url = proxy.via(postgres.url('stock'));
    await proxy.stop();
    await database.$disconnect();
    database = open(url);
    await expectUnavailable(ask);
  });

  test('when no answer comes', async () => {
    await connect();
    proxy.strand();
    await expectUnavailable(ask);
  });

  test('when the password is no longer right', async () => {
    const url = new URL(postgres.url('stock'));
    url.password = 'rotated';
    database = open(url.href);
    await expectUnavailable(ask);
  });
});

test('when every connection is taken for long, it is 503 whoever asks', async () => {
  const options = { url: postgres.url('stock'), schema: 'stock', logger: pino({ level: 'silent' }) };
  database = openDatabase(PrismaClient, options);
  const busy = Array.from({ length: MAX_DATABASE_CONNECTIONS }, () =>
    Promise.resolve(database.$executeRawUnsafe('SELECT pg_sleep(5.3)')),
  );
  await Promise.all(ways.map(([, ask]) => expectUnavailable(ask)));
  await Promise.all(busy);
});

test.each(['57P01', '57P02', '57P03', '53300', '53200', '08006', '57014', '55P03'])(
  'SQLSTATE %s is 503, whatever statement it came from',
  async (sqlState) => {
    database = open(postgres.url('stock'));
    const raise = `DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '${sqlState}'; END $$`;
    await expectUnavailable(() => database.$executeRawUnsafe(raise));
    await expectUnavailable(() => database.$transaction((tx) => tx.$executeRawUnsafe(raise)));
  },
);

test('a mistake in a statement is 500', async () => {
  database = open(postgres.url('stock'));
  const error: unknown = await Promise.resolve(database.$queryRawUnsafe('SELECT nothing')).catch(
    (error: unknown) => error,
  );
  expect(toHttpProblem(error).status).toBe(500);
});
