import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { startRedis, type TestRedis } from '../testing/index.js';
import { openRedis } from './redis.js';

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = openRedis({ url: server.url, name: 'fixture', logger: pino({ level: 'silent' }) });
}, 60_000);
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

describe('while Redis is away', () => {
  test('commands fail soon, and work again on the same connection when it is back', async () => {
    await redis.set('before', 'kept');
    await server.crash();
    const askedAtMs = Date.now();
    await expect(redis.get('before')).rejects.toThrow();
    expect(Date.now() - askedAtMs).toBeLessThan(5_000);
    await server.restart();
    const answer = await eventually(() => redis.get('before'));
    expect(answer).toBe('kept');
  }, 60_000);
});

test('a Redis that has stopped answering fails a command in time, for who asks for that', async () => {
  const impatient = openRedis({
    url: server.url,
    name: 'impatient',
    logger: pino({ level: 'silent' }),
    commandTimeoutMs: 200,
  });
  try {
    await impatient.set('answered', 'yes');
    await redis.call('CLIENT', 'PAUSE', '3000', 'ALL');
    const askedAtMs = Date.now();
    await expect(impatient.get('answered')).rejects.toThrow(/timed out/);
    expect(Date.now() - askedAtMs).toBeLessThan(2_000);
    expect(await eventually(() => impatient.get('answered'))).toBe('yes');
  } finally {
    impatient.disconnect();
  }
}, 30_000);

/** The client reconnects in its own time: ask until it has. */
async function eventually<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 50) throw error;
    }
  }
}
