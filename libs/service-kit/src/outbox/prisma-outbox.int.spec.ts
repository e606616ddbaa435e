import { setTimeout as pause } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { PrismaClient } from '#prisma/payment';
import { MessagingError, OutboxRelay, type OutboxMessage, type SendReceipt } from '#libs/messaging';
import { until } from '../../../messaging/src/testing/until.js';
import { openDatabase } from '../database/database.js';
import { OLD_OUTBOX_DEAD_LETTERS, RowRetention } from '../database/row-retention.js';
import { FaultProxy, startPostgres, type TestPostgres } from '../testing/index.js';
import { OutboxListener } from './outbox-listener.js';
import { OutboxMetrics } from './outbox-metrics.js';
import { outboxChannel, PrismaOutbox, OUTBOX_SHARDS } from './prisma-outbox.js';

const logger = pino({ level: 'silent' });
const BOUNDS = { maxMessages: 100, maxBytes: 1_000_000 };

let postgres: TestPostgres;
let database: PrismaClient;
let outbox: PrismaOutbox;
const opened: PrismaClient[] = [];

const open = (url = postgres.url('payment')): PrismaClient => {
  const client = openDatabase(PrismaClient, { url, schema: 'payment', logger });
  opened.push(client);
  return client;
};

beforeAll(async () => {
  postgres = await startPostgres();
  database = openDatabase(PrismaClient, { url: postgres.url('payment'), schema: 'payment', logger });
  outbox = new PrismaOutbox(database, 'payment');
}, 60_000);
afterAll(async () => {
  await database?.$disconnect();
  await postgres?.stop();
});
beforeEach(async () => {
  await database.outboxMessage.deleteMany();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.$disconnect()));
});

const message = (key: string | undefined, n: number, extra: Partial<OutboxMessage> = {}): OutboxMessage => ({
  ...{ id: randomUUID(), topic: 'payment', tag: 'made', body: Buffer.from(String(n)), headers: {} },
  ...(key !== undefined && { key }),
  ...extra,
});
const nothing = (): Promise<void> => Promise.resolve();
const write = (...messages: OutboxMessage[]): Promise<void> => outbox.write(messages, nothing);
const nameOf = ({ key, body }: Pick<OutboxMessage, 'key' | 'body'>): string =>
  `${key} ${Buffer.from(body).toString()}`;

type Claimed = Parameters<Parameters<PrismaOutbox['claim']>[1]>[0];
/** What one claim gets, and settles as sent. */
async function take(bounds = BOUNDS): Promise<string[]> {
  let names: string[] = [];
  await outbox.claim(bounds, (claimed) => {
    names = claimed.map((each) => nameOf(each.message));
    return Promise.resolve({ sent: claimed.map(({ rowId }) => rowId), refused: [] });
  });
  return names;
}
/** A claim by another process, which holds what it got until it is let go. */
async function hold(
  by: PrismaOutbox,
): Promise<{ names: string[]; claimed: Claimed; end: () => Promise<number> }> {
  let release: () => void = () => undefined;
  let claiming: Promise<number> = Promise.resolve(0);
  const claimed = await new Promise<Claimed>((resolve) => {
    claiming = by.claim(BOUNDS, async (rows) => {
      resolve(rows);
      await new Promise<void>((go) => (release = go));
      return { sent: rows.map(({ rowId }) => rowId), refused: [] };
    });
    void claiming.then((count) => count === 0 && resolve([]));
  });
  const end = (): Promise<number> => {
    release();
    return claiming;
  };
  claiming.catch(() => undefined);
  return { names: claimed.map((each) => nameOf(each.message)), claimed, end };
}

describe('the outbox', () => {
  test('keeps a message as it is, whatever it has', async () => {
    const body = Buffer.from([0, 1, 254, 255]);
    const full = message('k', 0, { body, headers: { a: 'ä\u2028' }, deliverAtMs: 1.5e12, timerId: 't' });
    const messages = [{ ...full, ttlMs: 7, priority: 9 }, message(undefined, 1)];
    await write(...messages);
    let claimed: Claimed = [];
    await outbox.claim(BOUNDS, (rows) => {
      claimed = rows;
      return Promise.resolve({ sent: [], refused: [] });
    });
    expect(claimed.map((each) => ({ ...each.message, body: Buffer.from(each.message.body) }))).toEqual(
      messages,
    );
  });

  test('has nothing of a transaction that fails, be it before or after its rows were written', async () => {
    await expect(
      outbox.write([message('a', 1)], async () => Promise.reject(new Error('local'))),
    ).rejects.toThrow('local');
    await expect(outbox.write([message('a', 1, { headers: { nul: '\0' } })], nothing)).rejects.toThrow();
    expect(await take()).toEqual([]);
  });

  test('sends what was inserted first and committed last, although newer rows have gone', async () => {
    let commit: () => void = () => undefined;
    let slow: Promise<void> = Promise.resolve();
    await new Promise<void>((inserted) => {
      slow = database.$transaction(async (tx) => {
        await tx.$executeRawUnsafe(
          `INSERT INTO outbox (shard, message_id, topic, tag, key, headers, options, body)
           VALUES (0, 'm', 'payment', 'made', 'slow', '{}', '{}', '1')`,
        );
        inserted();
        await new Promise<void>((resolve) => (commit = resolve));
      });
    });
    await write(message('fast', 1));
    expect(await take()).toEqual(['fast 1']);
    commit();
    await slow;
    expect(await take()).toEqual(['slow 1']);
  });

  test('hands out a bounded number of messages and of bytes, and one that is larger alone', async () => {
    await write(message('a', 1), message('b', 2), message('c', 3));
    expect(await take({ maxMessages: 2, maxBytes: 1_000 })).toEqual(['a 1', 'b 2']);
    const large = (n: number): OutboxMessage => message('a', n, { body: Buffer.alloc(600, String(n)) });
    await write(large(4), large(5), large(6));
    expect(await take({ maxMessages: 100, maxBytes: 1_000 })).toHaveLength(3);
    const sizes = [(await take({ maxMessages: 100, maxBytes: 100 })).length];
    while (sizes.at(-1) !== 0) sizes.push((await take({ maxMessages: 100, maxBytes: 100 })).length);
    expect(sizes).toEqual([1, 0]);
  });
});

describe('order per key', () => {
  test('while a relay holds a key, another gets nothing of it, but of other keys', async () => {
    await write(message('a', 1), message('a', 2));
    const first = await hold(outbox);
    expect(first.names).toEqual(['a 1', 'a 2']);
    await write(message('a', 3), ...Array.from({ length: 40 }, (_, n) => message(`k${n}`, 1)));
    const meanwhile = [...(await take()), ...(await take()), ...(await take()), ...(await take())];
    expect(meanwhile.filter((name) => name.startsWith('a '))).toEqual([]);
    expect(meanwhile.length).toBeGreaterThan(20);
    await first.end();
    const rest = [...(await take()), ...(await take())];
    expect(rest).toContain('a 3');
    expect(rest).not.toContain('a 1');
  });

  test('what a relay held that died is the next one’s, in its order', async () => {
    const proxy = await FaultProxy.inFrontOf(postgres.url('payment'));
    const dying = new PrismaOutbox(open(proxy.via(postgres.url('payment'))), 'payment');
    await write(message('a', 1), message('a', 2));
    await hold(dying);
    expect(await take()).toEqual([]);
    await proxy.stop();
    let names: string[] = [];
    await until(async () => (names = await take()).length > 0, 'the lock to be gone');
    expect(names).toEqual(['a 1', 'a 2']);
  });

  test('several relays at once send each message once, those of a key in their order', async () => {
    const KEYS = 12;
    const EACH = 40;
    const log: string[] = [];
    /** Takes its time, some before and some after it has stored them. */
    const send = async (messages: readonly OutboxMessage[]): Promise<SendReceipt[]> => {
      await pause(Math.random() * 4);
      log.push(...messages.map(nameOf));
      await pause(Math.random() * 4);
      return [];
    };
    const relays = Array.from({ length: 3 }, () => {
      const store = new PrismaOutbox(open(), 'payment');
      const broker = { send: (messages: unknown) => send(messages as OutboxMessage[]) };
      return new OutboxRelay({ store, broker, maxBatchMessages: 7, pollMs: () => 1 });
    });
    for (const relay of relays) relay.start();
    await Promise.all(
      Array.from({ length: KEYS }, async (_, k) => {
        for (let n = 1; n <= EACH; n++) await write(message(`k${k}`, n));
      }),
    );
    await until(() => log.length >= KEYS * EACH, 'all of them');
    await Promise.all(relays.map((relay) => relay.stop()));
    for (let k = 0; k < KEYS; k++) {
      const ofKey = log.filter((name) => name.startsWith(`k${k} `));
      expect(ofKey).toEqual(Array.from({ length: EACH }, (_, n) => `k${k} ${n + 1}`));
    }
    expect(await database.outboxMessage.count()).toBe(0);
  }, 30_000);
});

describe('a message that is refused', () => {
  const refuse = (name: string, retryAfterMs?: number): Promise<number> =>
    outbox.claim(BOUNDS, (claimed) =>
      Promise.resolve({
        sent: [],
        refused: claimed
          .filter((each) => nameOf(each.message) === name)
          .map(({ rowId, refusals }) => ({
            ...{ rowId, refusals: refusals + 1, error: 'too large' },
            ...(retryAfterMs !== undefined && { retryAfterMs }),
          })),
      }),
    );

  test('and waits keeps its key back, and what is written of it meanwhile, and nobody else', async () => {
    await write(message('a', 1), message('a', 2), message('b', 1));
    await refuse('a 1', 60_000);
    await write(message('a', 3), message('c', 1));
    expect((await take()).sort()).toEqual(['b 1', 'c 1']);
    await database.$executeRawUnsafe(`UPDATE outbox SET retry_at = now() WHERE retry_at IS NOT NULL`);
    expect(await take()).toEqual(['a 1', 'a 2', 'a 3']);
  });

  test('for good is a dead letter with its cause, until an operator gives it back', async () => {
    await write(message('a', 1), message('a', 2));
    await refuse('a 1');
    expect(await take()).toEqual(['a 2']);
    const [dead] = await database.outboxMessage.findMany();
    expect(dead).toMatchObject({ key: 'a', error: 'too large', refusals: 1, retryAt: null });
    expect(dead?.deadAt).toBeInstanceOf(Date);
    // As docs/patterns/outbox.md has it.
    await database.$executeRawUnsafe(
      `UPDATE outbox SET dead_at = NULL, refusals = 0 WHERE id = ${String(dead?.id)}`,
    );
    expect(await take()).toEqual(['a 1']);
  });

  test('is forgotten after 400 days, in bounded steps, and nothing that is not dead', async () => {
    await write(message('a', 1), message('b', 1));
    await refuse('b 1');
    await database.$executeRawUnsafe(
      `INSERT INTO outbox (shard, message_id, topic, tag, headers, options, body, dead_at)
       SELECT 0, 'm' || i, 't', 't', '{}', '{}', '', 'epoch' FROM generate_series(1, 10001) AS i`,
    );
    const retention = new RowRetention([OLD_OUTBOX_DEAD_LETTERS], database, Date, logger);
    expect(await retention.forgetOld()).toBe(10_001);
    expect(await database.outboxMessage.count()).toBe(2);
  });
});

test('its lag is a metric, which does not fail when the database is away', async () => {
  const registry = new Registry();
  const away = open('postgresql://nobody@127.0.0.1:1/none');
  let asked: Pick<PrismaClient, '$queryRawUnsafe'> = database;
  const metrics = new OutboxMetrics(registry, {
    $queryRawUnsafe: (query, ...values) => asked.$queryRawUnsafe(query, ...values),
  });
  metrics.settled({ sent: ['1', '2'], refused: [{ rowId: '3', refusals: 1, error: 'no' }] });
  const value = async (name: string): Promise<number> =>
    Number(
      / (\S+)$/m.exec(
        (await registry.metrics()).split('\n').find((line) => line.startsWith(name)) ?? '',
      )?.[1],
    );
  expect(await value('outbox_lag_seconds')).toBe(0);
  await database.$executeRawUnsafe(
    `INSERT INTO outbox (shard, message_id, topic, tag, headers, options, body, created_at, dead_at) VALUES
       (0, 'm', 't', 't', '{}', '{}', '', now() - interval '1 hour', now()),
       (0, 'm', 't', 't', '{}', '{}', '', now() - interval '1 minute', NULL)`,
  );
  expect(await value('outbox_lag_seconds')).toBeGreaterThanOrEqual(60);
  expect(await value('outbox_lag_seconds')).toBeLessThan(600);
  asked = away;
  expect(await value('outbox_waiting')).toBe(1);
  expect(await value('outbox_dead_letters')).toBe(1);
  expect(await value('outbox_sent_total')).toBe(2);
  expect(await value('outbox_refused_total')).toBe(1);
});

test('there is a row to lock for every shard', async () => {
  const shards = await database.outboxShard.findMany({ orderBy: { shard: 'asc' } });
  expect(shards).toEqual(Array.from({ length: OUTBOX_SHARDS }, (_, shard) => ({ shard })));
});

describe('a relay is woken', () => {
  test('by what is written, also after its connection was lost', async () => {
    const proxy = await FaultProxy.inFrontOf(postgres.url('payment'));
    let heard = 0;
    const listener = new OutboxListener({
      ...{ url: proxy.via(postgres.url('payment')), channel: outboxChannel('payment'), database, logger },
      heard: () => (heard += 1),
      reconnectMs: 10,
    });
    listener.start();
    await until(() => listener.isHearing, 'it to hear');
    const before = heard;
    await write(message('a', 1));
    await until(() => heard > before, 'the notification');
    proxy.cut();
    await until(() => !listener.isHearing, 'it to notice');
    await until(() => listener.isHearing, 'it to hear again');
    await listener.stop();
    expect(listener.isHearing).toBe(false);
    await proxy.stop();
  });

  test('not by a transaction that fails', async () => {
    let heard = 0;
    const listener = new OutboxListener({
      ...{ url: postgres.url('payment'), channel: outboxChannel('payment'), database, logger },
      heard: () => (heard += 1),
    });
    listener.start();
    await until(() => heard === 1, 'it to hear');
    const failed = database.$transaction(async (tx) => {
      await tx.$queryRawUnsafe('SELECT pg_notify($1, $2)::text', outboxChannel('payment'), '');
      throw new MessagingError('CLOSED', 'rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    await write(message('a', 1));
    await until(() => heard === 2, 'the one that committed');
    await listener.stop();
  });
});
