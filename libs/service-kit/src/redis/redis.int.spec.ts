import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createLogger } from '../logs/logger.js';
import { toHttpProblem } from '../problem/translate.js';
import { FaultProxy, startRedis, type TestRedis } from '../testing/index.js';
import { writable } from './redis-failures.js';
import { openRedis } from './redis.js';

/**
 * Within this every command settles and the link is well again, whatever the network does. It is five seconds on a
 * machine that does nothing else; what must not be is that some wait for ever.
 */
const WELL_AGAIN_MS = 10_000;

let server: TestRedis;
let proxy: FaultProxy;
let redis: Redis;
type Line = { msg: string; cause?: string };
let log: Line[];

beforeAll(async () => {
  server = await startRedis();
}, 60_000);
afterAll(() => server?.stop());
beforeEach(async () => {
  proxy = await FaultProxy.inFrontOf(server.url);
  log = [];
  const logger = createLogger(
    { name: 'fixture', level: 'warn' },
    { write: (line: string) => void log.push(JSON.parse(line) as Line) },
  );
  redis = openRedis({ url: proxy.via(server.url), name: 'fixture', logger });
  await redis.flushall();
});
afterEach(async () => {
  redis.disconnect();
  await proxy.stop();
});

/** Commands all the time, in small batches as a busy service has them, until `stop`. */
function load(): { asked: number; settled: number; slowestMs: number; stop: () => Promise<void> } {
  const state = { asked: 0, settled: 0, slowestMs: 0, stop };
  let running = true;
  const waiting = new Set<Promise<void>>();
  const ask = (): void => {
    const askedAtMs = performance.now();
    state.asked += 1;
    const command = state.asked % 3 === 0 ? redis.info('server') : redis.incr('asked');
    const settled = (): void => {
      state.settled += 1;
      state.slowestMs = Math.max(state.slowestMs, performance.now() - askedAtMs);
      waiting.delete(answer);
    };
    const answer: Promise<void> = command.then(settled, settled);
    waiting.add(answer);
  };
  const loop = (async () => {
    while (running) {
      for (let index = 0; index < 5; index += 1) ask();
      await pause(2);
    }
  })();
  async function stop(): Promise<void> {
    running = false;
    await loop;
    await Promise.race([Promise.all(waiting), pause(WELL_AGAIN_MS)]);
  }
  return state;
}

/** Milliseconds until a command is answered. */
async function wellAgainAfterMs(): Promise<number> {
  const sinceMs = performance.now();
  await eventually(() => redis.get('asked'));
  return performance.now() - sinceMs;
}

/** The client reconnects in its own time: ask until it has. */
async function eventually<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 500) throw error;
      await pause(10);
    }
  }
}

/** Past the link that the specs break. */
const direct = async <Result>(run: (admin: Redis) => Promise<Result>): Promise<Result> => {
  const admin = openRedis({ url: server.url, name: 'admin', logger: pino({ level: 'silent' }) });
  try {
    return await run(admin);
  } finally {
    admin.disconnect();
  }
};

describe('every command settles and the link is well again', () => {
  test('when its connections are reset again and again under load', async () => {
    const traffic = load();
    for (let cut = 0; cut < 15; cut += 1) {
      await pause(20 + 17 * (cut % 4));
      proxy.cut();
    }
    expect(await wellAgainAfterMs()).toBeLessThan(WELL_AGAIN_MS);
    await traffic.stop();
    expect(traffic.settled).toBe(traffic.asked);
    expect(traffic.slowestMs).toBeLessThan(WELL_AGAIN_MS);
  }, 30_000);

  test('when it stalls for a moment and is reset then, with everything still under way', async () => {
    const traffic = load();
    await pause(50);
    proxy.stall();
    await pause(200);
    proxy.cut();
    proxy.resume();
    expect(await wellAgainAfterMs()).toBeLessThan(WELL_AGAIN_MS);
    await traffic.stop();
    expect(traffic.settled).toBe(traffic.asked);
  }, 30_000);

  test('when it hangs for longer than anybody waits', async () => {
    const traffic = load();
    await pause(50);
    proxy.stall();
    await pause(6_000);
    proxy.resume();
    expect(await wellAgainAfterMs()).toBeLessThan(WELL_AGAIN_MS);
    await traffic.stop();
    expect(traffic.settled).toBe(traffic.asked);
    expect(traffic.slowestMs).toBeLessThan(WELL_AGAIN_MS + 1_000);
  }, 30_000);

  test('when the packets of its connection go nowhere and nobody is told', async () => {
    const traffic = load();
    await pause(50);
    proxy.strand();
    expect(await wellAgainAfterMs()).toBeLessThan(WELL_AGAIN_MS);
    await traffic.stop();
    expect(traffic.settled).toBe(traffic.asked);
    expect(log.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('Socket timeout'));
  }, 30_000);

  test('when an answer trickles in and never ends: the command is given up, as unavailable', async () => {
    const trickling = createServer((socket) => {
      socket.on('error', () => undefined).once('data', () => socket.write('$1000000\r\n'));
      const drip = setInterval(() => socket.write('x'), 200);
      socket.once('close', () => clearInterval(drip));
    });
    await new Promise<void>((resolve) => trickling.listen(0, '127.0.0.1', resolve));
    const { port } = trickling.address() as AddressInfo;
    const logger = pino({ level: 'silent' });
    const slow = openRedis({ url: `redis://127.0.0.1:${port}`, name: 'fixture', logger });
    const error: unknown = await Promise.race([
      slow.get('a').catch((error: unknown) => error),
      pause(2 * WELL_AGAIN_MS, 'it still waits'),
    ]);
    slow.disconnect();
    trickling.close();
    expect(error).toBeInstanceOf(Error);
    expect(toHttpProblem(error)).toMatchObject({ status: 503, code: 'SERVICE_UNAVAILABLE' });
  }, 30_000);

  test('when its server becomes a replica: the next connection is to whoever has the name then', async () => {
    const before = await redis.client('ID');
    await direct((admin) => admin.call('REPLICAOF', '127.0.0.1', '1'));
    await expect(redis.set('a', '1')).rejects.toThrow();
    await direct((admin) => admin.call('REPLICAOF', 'NO', 'ONE'));
    await eventually(async () => expect(await redis.client('ID')).not.toBe(before));
    await eventually(() => redis.set('a', '1'));
  }, 30_000);

  test('when the server is killed and started again', async () => {
    await redis.set('before', 'kept');
    await server.crash();
    await expect(redis.get('before')).rejects.toThrow();
    await server.restart();
    expect(await eventually(() => redis.get('before'))).toBe('kept');
  }, 60_000);
});

describe('the cause is named', () => {
  test.each([
    ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
    ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['NOPERM', ['ACL', 'SETUSER', 'default', '-set'], ['ACL', 'SETUSER', 'default', '+set']],
  ])(
    '%s, in readiness and once in the log, until it is over',
    async (cause, begin, end) => {
      const check = writable(redis, 'fixture');
      await check();
      await direct((admin) => admin.call(begin[0] as string, ...begin.slice(1)));
      try {
        for (let asked = 0; asked < 10; asked += 1)
          await expect(check()).rejects.toThrow(new RegExp(`^${cause}|ETIMEDOUT|retries`));
        await expect(
          eventually(() => expect(check()).rejects.toThrow(new RegExp(`^${cause}`))),
        ).resolves.toBe(undefined);
        // Whoever asked is told to come again, not that something is wrong with the request or with us.
        const refused: unknown = await redis.set('a', '1').catch((error: unknown) => error);
        expect(toHttpProblem(refused)).toMatchObject({ status: 503, code: 'SERVICE_UNAVAILABLE' });
      } finally {
        await direct((admin) => admin.call(end[0] as string, ...end.slice(1)));
      }
      await eventually(check);
      expect(log.filter((line) => line.cause?.startsWith(cause))).toHaveLength(1);
    },
    30_000,
  );

  test('a server that cannot be reached is not ready, with what the network says', async () => {
    const check = writable(redis, 'fixture');
    await check();
    proxy.refuse();
    await expect(check()).rejects.toThrow(/ECONNRESET|EPIPE/);
    proxy.resume();
    await eventually(check);
  }, 30_000);

  test('a password that is wrong or missing', async () => {
    await direct((admin) => admin.call('CONFIG', 'SET', 'requirepass', 'secret'));
    try {
      proxy.cut();
      await expect(eventually(() => expect(redis.get('a')).rejects.toThrow(/NOAUTH/))).resolves.toBe(
        undefined,
      );
      expect(log.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('NOAUTH'));
    } finally {
      const url = new URL(server.url);
      url.password = 'secret';
      const admin = openRedis({ url: url.href, name: 'admin', logger: pino({ level: 'silent' }) });
      await admin.call('CONFIG', 'SET', 'requirepass', '');
      admin.disconnect();
    }
    await eventually(() => redis.get('a'));
  }, 30_000);
});
