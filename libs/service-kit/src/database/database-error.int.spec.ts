import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/order';
import { FaultProxy, isCommitted, startPostgres, type TestPostgres } from '../testing/index.js';
import {
  isDatabaseUnavailable,
  isUniqueViolation,
  provesNothingWritten,
  sqlStateOf,
} from './database-error.js';
import { openDatabase } from './database.js';

/** Every error here is a real one: of a real server, over a real connection that is broken as named. */

let postgres: TestPostgres;
let proxy: FaultProxy;
let database: PrismaClient;
beforeAll(async () => {
  postgres = await startPostgres();
  proxy = await FaultProxy.inFrontOf(postgres.url('order'));
  const url = proxy.via(postgres.url('order'));
  database = openDatabase(PrismaClient, { url, schema: 'order', logger: pino({ level: 'silent' }) });
}, 60_000);
beforeEach(() => proxy.resume());
afterAll(async () => {
  await database.$disconnect();
  await proxy.stop();
  await postgres.stop();
});

const insert = (orderNo: string): string =>
  `INSERT INTO orders VALUES ('${orderNo}', 'b', 't', 1, 1, 'EUR', 'PAID', NULL, '[]', NULL, now(), now())`;
const raise = (sqlState: string): string =>
  `DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '${sqlState}'; END $$`;

async function errorOf(work: () => PromiseLike<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

/** The three ways in which one and the same error reaches a service. */
const ways: Record<string, (statement: string) => Promise<unknown>> = {
  'a raw statement': (statement) => errorOf(() => database.$executeRawUnsafe(statement)),
  'an interactive transaction': (statement) =>
    errorOf(() => database.$transaction((tx) => tx.$executeRawUnsafe(statement))),
  'pg itself': async (statement) => {
    const client = new pg.Client({ connectionString: proxy.via(postgres.url('order')) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await errorOf(() => client.query(statement));
    } finally {
      await client.end().catch(() => undefined);
    }
  },
};

describe.each(Object.entries(ways))('by %s', (_name, failing) => {
  test.each([
    ['a row that exists', insert('twice'), '23505', { proves: true, away: false }],
    ['a refused row', insert('x').replace('PAID', 'NO'), '23514', { proves: true, away: false }],
    ['a serialization failure', raise('40001'), '40001', { proves: true, away: false }],
    ['a deadlock', raise('40P01'), '40P01', { proves: true, away: false }],
    ['a lock timeout', raise('55P03'), '55P03', { proves: true, away: true }],
    ['a statement timeout', raise('57014'), '57014', { proves: true, away: true }],
    ['a full disk', raise('53100'), '53100', { proves: true, away: true }],
    ['an unknown completion', raise('40003'), '40003', { proves: false, away: false }],
    ['a connection failure that the server reports', raise('08006'), '08006', { proves: false, away: true }],
    ['a transaction of unknown end', raise('08007'), '08007', { proves: false, away: true }],
    ['a shutdown that it reports', raise('57P01'), '57P01', { proves: false, away: true }],
    ['an I/O error', raise('58030'), '58030', { proves: false, away: false }],
    ['an internal error', raise('XX000'), 'XX000', { proves: false, away: false }],
    [
      'a terminated session',
      'SELECT pg_terminate_backend(pg_backend_pid())',
      '57P01',
      { proves: false, away: true },
    ],
  ])('%s', async (_what, statement, sqlState, { proves, away }) => {
    if (sqlState === '23505') await database.$executeRawUnsafe(`${insert('twice')} ON CONFLICT DO NOTHING`);
    const error = await failing(statement);
    expect(sqlStateOf(error)).toBe(sqlState);
    expect(provesNothingWritten(error)).toBe(proves);
    expect(isDatabaseUnavailable(error)).toBe(away);
    expect(isUniqueViolation(error)).toBe(sqlState === '23505');
  });

  test('an answer that is lost after the commit proves nothing, because it was written', async () => {
    const orderNo = `lost by ${_name}`;
    const pattern = _name === 'an interactive transaction' ? 'COMMIT' : 'INSERT INTO orders';
    const lost = proxy.swallowAnswersAfter(pattern, { isComplete: isCommitted });
    const error = await failing(insert(orderNo));
    await lost;
    expect(provesNothingWritten(error)).toBe(false);
    expect(isDatabaseUnavailable(error)).toBe(true);
    expect(await database.order.count({ where: { orderNo } })).toBe(1);
  });
});

test('a row that exists, by a model', async () => {
  await database.$executeRawUnsafe(`${insert('twice')} ON CONFLICT DO NOTHING`);
  const row = await database.order.findUniqueOrThrow({ where: { orderNo: 'twice' } });
  const error = await errorOf(() => database.order.create({ data: { ...row, history: [] } }));
  expect(isUniqueViolation(error)).toBe(true);
  expect(provesNothingWritten(error)).toBe(true);
});

test('a connection that is refused proves that nothing was written; one that breaks does not', async () => {
  proxy.refuse();
  const broken = await errorOf(() => database.$executeRawUnsafe(insert('broken')));
  expect([provesNothingWritten(broken), isDatabaseUnavailable(broken)]).toEqual([false, true]);
  const away = await FaultProxy.inFrontOf(postgres.url('order'));
  const url = away.via(postgres.url('order'));
  await away.stop();
  const unreachable = openDatabase(PrismaClient, { url, schema: 'order', logger: pino({ level: 'silent' }) });
  const refused = await errorOf(() => unreachable.$executeRawUnsafe(insert('refused')));
  expect([provesNothingWritten(refused), isDatabaseUnavailable(refused)]).toEqual([true, true]);
});

test.each([
  ['no connection in time', new Error('timeout exceeded when trying to connect')],
  ['a query without an answer', new Error('Query read timeout')],
  ['a connection that ended', new Error('Connection terminated unexpectedly')],
])('%s, of which pg gives no code, proves nothing', (_what, error) => {
  expect([provesNothingWritten(error), isDatabaseUnavailable(error)]).toEqual([false, true]);
});

test('a panic of the server proves nothing, whatever its code', () => {
  const panic = Object.assign(new Error('could not write to file'), { code: '53100', severity: 'PANIC' });
  expect(provesNothingWritten(panic)).toBe(false);
});

test.each([undefined, 'text', new Error('EPIPE'), { code: 'P2010' }, new TypeError('a bug')])(
  'an error of something else (%p) is neither',
  (error) => {
    expect(sqlStateOf(error)).toBeUndefined();
    expect(provesNothingWritten(error)).toBe(false);
    expect(isDatabaseUnavailable(error)).toBe(false);
  },
);
