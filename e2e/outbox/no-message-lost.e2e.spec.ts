/** An outbox whose process is killed by SIGKILL before and after each step: nothing lost, nothing invented, order per key kept. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { BrokerServer, EmbeddedBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { openDatabase } from '#libs/service-kit';
import { FaultProxy, isCommitted, startPostgres, type TestPostgres } from '#libs/service-kit/testing';
import { PrismaClient } from '#prisma/payment';
import { until } from '../../libs/messaging/src/testing/until.js';
import { repositoryRoot } from '../../libs/service-kit/src/testing/repository-root.js';
import { STEPS, type Step, type Way } from './crash-points.js';
import { KEYS, rowOf, type EventWritten } from './events.js';

const TOKEN = 'secret';
/** Each run writes so many more of each key. */
const EVENTS_PER_RUN = 3;

let dir: string;
let postgres: TestPostgres;
let database: PrismaClient;
let broker: EmbeddedBroker;
let server: BrokerServer;
let consumer: BrokerPort;
let ways: Record<Way, FaultProxy>;
let runs = 0;
/** As a consumer saw them: `a 1`, with the id of the message. */
const delivered: { row: string; id: string }[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  const logger = pino({ level: 'silent' });
  database = openDatabase(PrismaClient, { url: postgres.url('payment'), schema: 'payment', logger });
  dir = await mkdtemp(join(tmpdir(), 'outbox-'));
  broker = await EmbeddedBroker.open({ dir });
  server = await BrokerServer.listen(broker, { host: '127.0.0.1', port: 0, token: TOKEN, log: logger });
  ways = {
    'writer-database': await FaultProxy.inFrontOf(postgres.url('payment')),
    'relay-database': await FaultProxy.inFrontOf(postgres.url('payment')),
    broker: await FaultProxy.start({ port: server.address.port }),
  };
  consumer = broker.connect('consumer');
  await consumer.subscribe(
    { group: 'spec', topics: [{ topic: 'payment' }], order: 'by-key' },
    async (batch) => {
      for (const each of batch) {
        const { key, n } = JSON.parse(Buffer.from(each.message.body).toString()) as EventWritten;
        delivered.push({ row: rowOf(key, n), id: each.message.id });
        await each.ack();
      }
    },
  );
}, 60_000);
afterAll(async () => {
  await consumer?.close();
  await server?.close();
  await broker?.close();
  await Promise.all(Object.values(ways ?? {}).map((way) => way.stop()));
  await database?.$disconnect();
  await postgres?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Goes on with the events, and resolves with the signal or the code that ended it. */
function startWriter(): { kill(): void; ended: Promise<unknown> } {
  const child = spawn(process.execPath, [join(repositoryRoot(), 'dist/e2e/outbox/writer.js')], {
    env: {
      PATH: process.env['PATH'],
      WRITER_DATABASE_URL: ways['writer-database'].via(postgres.url('payment')),
      RELAY_DATABASE_URL: ways['relay-database'].via(postgres.url('payment')),
      BROKER_URL: `tcp://127.0.0.1:${ways.broker.port}`,
      BROKER_TOKEN: TOKEN,
      EVENTS: String(++runs * EVENTS_PER_RUN),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit').then(([code, signal]: unknown[]) => signal ?? code);
  return { kill: () => void child.kill('SIGKILL'), ended };
}

/** Kills the writer when the step's request has come, or when it has been done and nobody knows. */
async function killAt({ way, pattern }: Step, when: 'before' | 'after'): Promise<unknown> {
  const writer = startWriter();
  const act = async (): Promise<'reset'> => {
    writer.kill();
    await writer.ended;
    return 'reset';
  };
  const isCommit = pattern === 'COMMIT';
  const trap = { when, act, ...(isCommit && { isComplete: isCommitted }) };
  if (way === 'relay-database' && isCommit) {
    // Empty rounds are committed too: the one that is meant follows a deletion.
    void ways[way].intercept('DELETE FROM outbox', {
      when: 'before',
      act: () => {
        void ways[way].intercept(pattern, trap);
        return 'forward';
      },
    });
  } else {
    void ways[way].intercept(pattern, trap);
  }
  return writer.ended;
}

/** What a consumer that handles each message once has seen of a key. */
const seenOf = (key: string): string[] => {
  const ids = new Set<string>();
  return delivered
    .filter(({ row, id }) => row.startsWith(`${key} `) && !ids.has(id) && ids.add(id))
    .map(({ row }) => row);
};

/** The first numbers of a key, so many as were seen: none is missing before another, and none was not written. */
async function expectOrder(): Promise<void> {
  for (const key of KEYS) {
    const seen = seenOf(key);
    expect(seen).toEqual(seen.map((_, n) => rowOf(key, n + 1)));
    const written = await database.inboxMessage.count({ where: { group: `events of ${key}` } });
    expect(seen.length).toBeLessThanOrEqual(written);
  }
}

const crashes = STEPS.flatMap((step) => (['before', 'after'] as const).map((when) => [step, when] as const));
test.each(crashes.map(([step, when]) => [step.what, when, step] as const))(
  'killed where %s, %s it is done, a process goes on by itself after the next start',
  async (_what, when, step) => {
    // It begins with what the one before has left.
    expect(await killAt(step, when)).toBe('SIGKILL');
    for (const way of Object.values(ways)) way.disarm();
    await expectOrder();
  },
  30_000,
);

test('after all these deaths everything that was written has arrived, once and in its order', async () => {
  expect(await startWriter().ended).toBe(0);
  const written = KEYS.map((key) =>
    Array.from({ length: runs * EVENTS_PER_RUN }, (_, n) => rowOf(key, n + 1)),
  );
  await until(() => KEYS.every((key) => seenOf(key).length >= runs * EVENTS_PER_RUN), 'all messages');
  expect(KEYS.map(seenOf)).toEqual(written);
  expect(await database.outboxMessage.count()).toBe(0);
}, 30_000);
