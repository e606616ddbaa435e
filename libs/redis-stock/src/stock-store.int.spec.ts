import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { openRedis } from '#libs/service-kit';
import { FaultProxy, RewritingProxy, startRedis, type TestRedis } from '#libs/service-kit/testing';
import { newTicketTypeId, orderNoFor, RedisStock, type TicketTypeSnapshot } from './index.js';
import type { Fitness } from './fitness.js';
import { stockKeys } from './stock-keys.js';

const logger = pino({ level: 'silent' });
const NOW_MS = Date.now();

let server: TestRedis;
let admin: Redis;
let ticketTypeId: string;
const open: { disconnect: () => void }[] = [];

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
}, 30_000);
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});
beforeEach(async () => {
  ticketTypeId = newTicketTypeId();
  const stock = stockOn(server.url);
  await stock.rebuild(snapshot());
  await stock.setEpoch(await stock.runId(), await stock.beginVerifying());
});
afterEach(() => {
  for (const connection of open.splice(0)) connection.disconnect();
});

const snapshot = (options: Partial<TicketTypeSnapshot> = {}): TicketTypeSnapshot => ({
  ticketTypeId,
  initial: 10,
  unitPriceMinor: 4_950,
  currency: 'EUR',
  perUserLimit: 4,
  saleOpensAtMs: 0,
  saleClosesAtMs: Number.MAX_SAFE_INTEGER,
  orders: [],
  ...options,
});

function stockOn(url: string, report?: (fitness: Fitness) => void): RedisStock {
  const redis = openRedis({ url, name: 'fixture', logger });
  open.push(redis);
  return new RedisStock(redis, report);
}

const order = (name: string) => ({
  orderNo: orderNoFor({ buyerId: name, idempotencyKey: name, ticketTypeId, quantity: 1 }, NOW_MS),
  ticketTypeId,
  buyerId: name,
  quantity: 1,
  nowMs: NOW_MS,
  holdTimeoutMs: 600_000,
});

async function reserve(stock: RedisStock, name: string): Promise<string> {
  try {
    return (await stock.reserve(order(name))).outcome;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const stored = async (): Promise<unknown> => {
  const { counter, holds, holdExpiry, buyers } = stockKeys(ticketTypeId);
  return Promise.all([
    admin.hgetall(counter),
    admin.hgetall(holds),
    admin.zcard(holdExpiry),
    admin.hgetall(buyers),
  ]);
};

describe('a Redis that is not fit takes no ticket', () => {
  test.each([
    ['is of an old version', /is 6\.2\.14/],
    ['tells no version', /7\.0 or later/],
  ])('when it %s', async (what, line) => {
    const before = await stored();
    const proxy = await RewritingProxy.inFrontOf(server.url, (said) =>
      what === 'tells no version'
        ? said.replace('redis_version:', 'redis_nothing:')
        : said
            .replace(/redis_version:7\.0\.\d\d/, 'redis_version:6.2.14')
            .replace(/redis_version:[89]\.\d\.\d/, 'redis_version:6.2.1'),
    );
    const seen: Fitness[] = [];
    const stock = stockOn(proxy.url, (fitness) => seen.push(fitness));
    expect(await reserve(stock, 'early')).toBe('SERVICE_UNAVAILABLE');
    await expect(stock.claim(ticketTypeId, ['a'])).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    await expect(stock.rebuild(snapshot())).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    expect(await stored()).toEqual(before);
    expect(seen[0]?.refusals.join()).toMatch(line);
    await proxy.stop();
  });

  test('when a command that comes late in a script is denied to its user', async () => {
    await admin.call('ACL', 'SETUSER', 'clerk', 'reset', 'on', '>secret', '~*', '+@all', '-zadd');
    const url = new URL(server.url);
    url.username = 'clerk';
    url.password = 'secret';
    const before = await stored();
    const stock = stockOn(url.href);
    expect((await stock.look()).refusals).toEqual([expect.stringContaining('run ZADD')]);
    expect(await reserve(stock, 'denied')).toBe('SERVICE_UNAVAILABLE');
    expect(await stored()).toEqual(before);
    await admin.call('ACL', 'SETUSER', 'clerk', '+zadd');
    await stock.look();
    expect(await reserve(stock, 'allowed')).toBe('reserved');
  });

  test('when a command has another name there', async () => {
    const renamed = await startRedis('--rename-command', 'ZADD', 'SECRET');
    try {
      const stock = stockOn(renamed.url);
      expect((await stock.look()).refusals).toEqual([expect.stringContaining('run ZADD')]);
      await expect(stock.rebuild(snapshot())).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
      const own = new Redis(renamed.url);
      expect(await own.dbsize()).toBe(0);
      own.disconnect();
    } finally {
      await renamed.stop();
    }
  });

  test('when it would drop counters; and what may lose stock one day is told', async () => {
    const stock = stockOn(server.url);
    await admin.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru', 'appendonly', 'no');
    try {
      expect(await stock.look()).toMatchObject({
        refusals: [],
        warnings: [/allkeys-lru/, /appendonly/].map((line) => expect.stringMatching(line)),
      });
      await admin.call('CONFIG', 'SET', 'maxmemory', '1gb');
      expect((await stock.look()).refusals).toEqual([expect.stringContaining('allkeys-lru')]);
      expect(await reserve(stock, 'evicted')).toBe('SERVICE_UNAVAILABLE');
    } finally {
      await admin.call(
        'CONFIG',
        'SET',
        'maxmemory-policy',
        'noeviction',
        'appendonly',
        'yes',
        'maxmemory',
        '0',
      );
    }
  });

  test('when its memory is full: the refusal comes before the first write', async () => {
    const stock = stockOn(server.url);
    expect(await reserve(stock, 'before')).toBe('reserved');
    const before = await stored();
    await admin.call('CONFIG', 'SET', 'maxmemory', '1');
    try {
      expect(await reserve(stock, 'full')).toMatch(/^ReplyError: OOM/);
      await expect(stock.claim(ticketTypeId, [order('before').orderNo])).rejects.toThrow(/OOM/);
    } finally {
      await admin.call('CONFIG', 'SET', 'maxmemory', '0');
    }
    expect(await stored()).toEqual(before);
  });
});

describe('an answer of Redis that is lost', () => {
  test('leaves a reservation that the same order finds again, and takes its tickets once', async () => {
    const proxy = await FaultProxy.inFrontOf(server.url);
    const stock = stockOn(proxy.via(server.url));
    await reserve(stock, 'first');
    const lost = proxy.swallowAnswersAfter(order('lost').orderNo);
    expect(await reserve(stock, 'lost')).toMatch(/MaxRetriesPerRequestError/);
    await lost;
    expect(await stock.read(ticketTypeId)).toMatchObject({ free: 8, held: 2 });
    expect(await reserve(stock, 'lost')).toBe('replayed');
    expect(await stock.read(ticketTypeId)).toMatchObject({ free: 8, held: 2 });
    await proxy.stop();
  });

  test("leaves a claim that is the caller's own when it is asked for again", async () => {
    const proxy = await FaultProxy.inFrontOf(server.url);
    const stock = stockOn(proxy.via(server.url));
    await reserve(stock, 'claimed');
    const { orderNo } = order('claimed');
    const lost = proxy.swallowAnswersAfter(orderNo);
    await expect(stock.claim(ticketTypeId, [orderNo])).rejects.toThrow();
    await lost;
    expect(await stock.claim(ticketTypeId, [orderNo])).toEqual(['already-claimed']);
    await proxy.stop();
  });
});

test('a rebuild may take longer than other commands are waited for', async () => {
  // It has looked, and opens its own connection now: the script is what has to wait.
  const stock = stockOn(server.url, () => void admin.call('CLIENT', 'PAUSE', '4000', 'WRITE'));
  expect((await stock.rebuild(snapshot({ initial: 12 }))).after).toMatchObject({ initial: 12 });
});

test('a rebuild that comes too late changes nothing: the ledger has gone on', async () => {
  const proxy = await RewritingProxy.inFrontOf(server.url, (said) =>
    said.replace(/server_time_usec:\d/, 'server_time_usec:0'),
  );
  const before = await stored();
  await expect(stockOn(proxy.url).rebuild(snapshot({ initial: 12 }))).rejects.toThrow(/too late/);
  expect(await stored()).toEqual(before);
  await proxy.stop();
});

test('a Redis that was a replica meanwhile, which nobody has noticed, is looked at again once it refuses', async () => {
  const gateway = stockOn(server.url);
  expect(await reserve(gateway, 'before')).toBe('reserved');
  await admin.replicaof('127.0.0.1', 1);
  await admin.replicaof('NO', 'ONE');
  const stock = stockOn(server.url);
  await stock.rebuild(snapshot());
  await stock.setEpoch(await stock.runId(), await stock.beginVerifying());
  expect(await reserve(gateway, 'first')).toBe('not-ready');
  expect(await reserve(gateway, 'second')).toBe('reserved');
});
