import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BrokerPort, DeliveredMessage, GroupInfo } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { BrokerOptions } from '../engine/options.js';
import { BrokerServer } from '../server/broker-server.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const log = { info: () => undefined, warn: () => undefined };
const MIB = 1024 * 1024;
const PULL = { maxMessages: 1_000, waitMs: 1_000 };

let files: MemoryFiles;
let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let server: BrokerServer;
let ports: BrokerPort[];
let problems: string[];

beforeEach(async () => {
  files = new MemoryFiles();
  clock = new ManualClock();
  problems = [];
  ports = [];
  sandbox = await BrokerSandbox.make({
    clock,
    files,
    // What was written before the newest megabyte has to be read from its file.
    tailCacheBytes: 1,
    readCacheBytes: 1,
    onProblem: ({ message }) => problems.push(message),
  });
  await start();
});
afterEach(async () => {
  await stop();
  await sandbox.cleanUp();
});

async function start(more: Partial<BrokerOptions> = {}): Promise<void> {
  broker = await sandbox.reopen({ files, ...more });
  server = await BrokerServer.listen(broker, { port: 0, token: 'secret', log });
}
async function stop(): Promise<void> {
  for (const port of ports.splice(0)) await port.close();
  await server.close();
}

const connect = {
  'in process': () => broker.connect('consumer'),
  'over TCP': () =>
    connectBroker({
      url: `tcp://127.0.0.1:${server.address.port}`,
      token: 'secret',
      clientName: 'consumer',
      log,
    }),
};
const open = (how: keyof typeof connect): BrokerPort => {
  const port = connect[how]();
  ports.push(port);
  return port;
};

const send = (port: BrokerPort, texts: string[], topic = 't') =>
  port.send(texts.map((text) => ({ topic, tag: 'a', key: 'k', body: Buffer.from(text) })));
/** Moves what was sent before out of memory. */
async function fill(port: BrokerPort): Promise<void> {
  for (let n = 0; n < 4; n++)
    await port.send([{ topic: 'filler', tag: 'a', body: Buffer.alloc(MIB - 1_000) }]);
}

async function collect(port: BrokerPort, order: 'unordered' | 'by-key' = 'unordered') {
  const texts: string[] = [];
  const consumer = await port.subscribe(
    { group: 'g', topics: [{ topic: 't' }], order },
    async ([delivery]) => {
      texts.push(Buffer.from(delivery!.message.body).toString());
      await delivery!.ack();
    },
  );
  return { texts, consumer };
}

const info = async (port: BrokerPort): Promise<GroupInfo> =>
  (await port.admin.groups()).find(({ group }) => group === 'g')!;

/** Changes bytes on disk whose checksum was held against them when the broker was opened. */
function damage(text: string, replacement: string): void {
  const [path] = files.paths().filter((each) => each.endsWith('.log'));
  const content = files.content(path!);
  content.write(replacement, content.indexOf(text));
}

describe.each(['in process', 'over TCP'] as const)('a message that cannot be read, %s', (how) => {
  it('holds up its partition only, is told, and comes once it can be read', async () => {
    const port = open(how);
    await port.admin.createTopic('t', { partitions: 1 });
    await port.admin.createTopic('u', { partitions: 1 });
    await send(port, ['first']);
    await fill(port);
    await send(port, ['second']);
    let tries = 0;
    files.failsToRead = () => ++tries > 0;
    const { texts, consumer } = await collect(port);
    await until(async () => (await info(port)).unreadable.length === 1);
    expect(await info(port)).toMatchObject({
      unreadable: [{ topic: 't', partition: 0, offset: 0, error: expect.stringContaining('EIO') }],
      lag: 2,
      members: [{ client: 'consumer' }],
    });
    // Another group reads what is in memory.
    const others: string[] = [];
    await port.subscribe({ group: 'other', topics: [{ topic: 'u' }] }, async ([delivery]) => {
      others.push(Buffer.from(delivery!.message.body).toString());
      await delivery!.ack();
    });
    await send(port, ['flows'], 'u');
    await until(() => others.length === 1);
    const before = tries;
    await until(() => tries > before, 'another try');
    await info(port);
    expect(texts).toEqual([]);
    expect(problems.filter((problem) => problem.includes('cannot be read'))).toHaveLength(1);
    files.failsToRead = () => false;
    await until(() => texts.length === 2);
    expect(texts).toEqual(['first', 'second']);
    await until(async () => (await info(port)).lag === 0);
    expect(await info(port)).toMatchObject({ unreadable: [], missed: { messages: 0 } });
    await consumer.close();
  });

  it('is left behind when an operator resets the group past it', async () => {
    const port = open(how);
    await port.admin.createTopic('t', { partitions: 1 });
    await send(port, ['first']);
    await fill(port);
    await send(port, ['second']);
    files.failsToRead = () => true;
    const { texts, consumer } = await collect(port);
    await until(async () => (await info(port)).unreadable.length === 1);
    await port.admin.resetGroup('g', { partition: 0, offset: 1 });
    await until(() => texts.length === 1);
    expect(texts).toEqual(['second']);
    expect((await info(port)).unreadable).toEqual([]);
    await consumer.close();
  });
});

describe('a message that was given back and cannot be read', () => {
  it('holds up nothing that was given back with it, and comes once it can be read', async () => {
    const client = new EngineClient(broker);
    const subscription = { topics: [{ topic: 't' }, { topic: 'u' }], leaseMs: 24 * 3_600_000 };
    const consumer = await client.attach(subscription);
    await client.session.append([message('old', { topic: 't' })]);
    await fill(open('in process'));
    await client.session.append([message('new', { topic: 'u' })]);
    await until(() => client.delivered.length === 2);
    expect(client.texts).toEqual(['old', 'new']);
    await client.session.detach(consumer);
    client.delivered.length = 0;
    files.failsToRead = () => true;
    await client.attach(subscription);
    expect(textOf(await client.take())).toBe('new');
    expect(client.delivered).toEqual([]);
    files.failsToRead = () => false;
    await until(() => {
      clock.advance(1_000);
      broker.tick();
      return client.delivered.length > 0;
    });
    expect(client.texts).toEqual(['old']);
  });
});

describe.each(['in process', 'over TCP'] as const)('a message that makes no sense, %s', (how) => {
  it('is passed over, counted as missed with its offset, told once, and the connection stays', async () => {
    const port = open(how);
    await port.admin.createTopic('t', { partitions: 1 });
    let tried = 0;
    const texts: string[] = [];
    const consumer = await port.subscribe({ group: 'g', topics: [{ topic: 't' }] }, async ([delivery]) => {
      tried += 1;
      if (tried === 1) return delivery!.retry({ delayMs: 10_000, error: 'some-failure' });
      texts.push(Buffer.from(delivery!.message.body).toString());
      return delivery!.ack();
    });
    await send(port, ['poison']);
    await until(() => tried === 1);
    await fill(port);
    damage('"origin"', '"origin?');
    clock.advance(10_001);
    broker.tick();
    await until(async () => (await info(port)).missed.messages === 1);
    await send(port, ['next']);
    await until(() => texts.length === 1);
    expect(texts).toEqual(['next']);
    const missed = { messages: 1, ranges: [{ topic: '%RETRY%g', partition: 0, from: 0, to: 1 }] };
    await until(async () => (await info(port)).lag === 0);
    expect(await info(port)).toMatchObject({ missed, inFlight: 0, members: [{ client: 'consumer' }] });
    expect(problems.filter((problem) => problem.includes('makes no sense'))).toHaveLength(1);
    await consumer.close();
    await stop();
    damage('"origin?', '"origin"');
    files = files.kill();
    await start();
    expect(await info(open(how))).toMatchObject({ missed, lag: 0 });
  });
});

describe('deliveries that are too large for one frame', () => {
  it.each(['push', 'pull'] as const)('come in several, by %s', async (how) => {
    await stop();
    await start({ tailCacheBytes: 64 * MIB });
    const port = open('over TCP');
    const texts = Array.from({ length: 600 }, (_, n) => `m${n}`);
    const subscription = { group: 'g', topics: [{ topic: 't' }], maxInFlightMessages: 1_000 };
    const failing = await port.subscribe({ ...subscription, maxBatchMessages: 1_000 }, async (batch) => {
      await Promise.all(batch.map((delivery) => delivery.retry({ delayMs: 60_000, error: 'no' })));
    });
    // A retried message brings its headers and its past; together they are more than 8 MiB.
    const headers = { large: 'x'.repeat(16_000) };
    for (let n = 0; n < texts.length; n += 200) {
      const some = texts.slice(n, n + 200);
      await port.send(some.map((text) => ({ topic: 't', tag: 'a', headers, body: Buffer.from(text) })));
    }
    await until(async () => (await info(port)).retrying === texts.length);
    await failing.close();
    clock.advance(60_000);
    broker.tick();
    await until(async () => (await info(port)).retrying === 0);
    const done = new Set<string>();
    const take = async (batch: readonly DeliveredMessage[]): Promise<void> => {
      for (const { message } of batch) done.add(Buffer.from(message.body).toString());
      await Promise.all(batch.map((delivery) => delivery.ack()));
    };
    if (how === 'push') await port.subscribe({ ...subscription, maxBatchMessages: 1_000 }, take);
    else while (done.size < texts.length) await take(await port.pull(subscription, PULL));
    await until(() => done.size === texts.length);
    await until(async () => (await info(port)).lag === 0);
  });
});
