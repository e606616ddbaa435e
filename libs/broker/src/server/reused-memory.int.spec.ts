import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerPort, DeliveredMessage, Subscription } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BLOCK_BYTES, BlockCache } from '../journal/block-cache.js';
import type { RawDelivery } from '../session.js';
import { EngineClient } from '../testing/engine-client.js';
import { until } from '../testing/until.js';
import { BrokerServer } from './broker-server.js';

const token = 'secret';
const MESSAGES = 3_000;
const BODY_BYTES = 20_000;
/** Of each kind of memory: two blocks, so that nearly every one is displaced while its messages are under way. */
const CACHE_BYTES = 2 * BLOCK_BYTES;

/** A body that no other message has at any of its bytes' places. */
const bodyOf = (number: number): Buffer => Buffer.alloc(BODY_BYTES, `${number};`);

let dir: string;
let broker: EmbeddedBroker;
let server: BrokerServer;
const ports: BrokerPort[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stampede-reused-memory-'));
  broker = await EmbeddedBroker.open({ dir, tailCacheBytes: CACHE_BYTES, readCacheBytes: CACHE_BYTES });
  const log = { info: () => undefined, warn: () => undefined };
  server = await BrokerServer.listen(broker, { host: '127.0.0.1', port: 0, token, log });
});
afterEach(async () => {
  for (const port of ports.splice(0)) await port.close();
  await server.close();
  await broker.close();
  await rm(dir, { recursive: true, force: true });
  jest.restoreAllMocks();
});

function overTcp(): BrokerPort {
  const port = connectBroker({ url: `tcp://127.0.0.1:${server.address.port}`, token, clientName: 'spec' });
  ports.push(port);
  return port;
}

function inProcess(): BrokerPort {
  const port = broker.connect('spec');
  ports.push(port);
  return port;
}

async function send(port: BrokerPort, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += 50) {
    const numbers = Array.from({ length: Math.min(50, to - first) }, (_, i) => first + i);
    await port.send(
      numbers.map((number) => ({
        topic: 't',
        tag: String(number),
        key: `key-${number % 500}`,
        body: bodyOf(number),
      })),
    );
  }
}

/**
 * Takes messages in every way there is and keeps them all, with what they should be: `wrong` looks at them
 * when everything is over. Some are held until much else was read, some given back then, some never settled.
 */
class Taker {
  readonly done = new Set<number>();
  private readonly kept: { number: number; body: Uint8Array }[] = [];
  private readonly held: DeliveredMessage[] = [];

  constructor(private readonly random: () => number) {}

  async take(batch: readonly DeliveredMessage[]): Promise<void> {
    for (const delivery of batch) {
      // Some are not looked at before they are settled.
      if (this.random() < 0.8) this.look(delivery);
      if (this.random() < 0.2) this.held.push(delivery);
      else await this.settle(delivery);
    }
    while (this.held.length > 150) await this.settle(this.held.shift()!);
  }

  async settleHeld(): Promise<void> {
    for (const delivery of this.held.splice(0)) await this.settle(delivery);
  }

  private async settle(delivery: DeliveredMessage): Promise<void> {
    const isRetried = this.random() < 0.1;
    try {
      if (isRetried) await delivery.retry({ delayMs: 0, error: 'once more' });
      else await delivery.ack();
    } catch {
      // Its lease was lost: it comes again.
      return;
    }
    if (!isRetried) this.done.add(this.look(delivery));
  }

  private look({ message }: DeliveredMessage): number {
    const number = Number(message.tag);
    this.kept.push({ number, body: message.body });
    // At once, because the last look may come when the memory was put right again.
    expect(bodyOf(number).equals(message.body)).toBe(true);
    return number;
  }

  get wrong(): number[] {
    return this.kept.filter(({ number, body }) => !bodyOf(number).equals(body)).map(({ number }) => number);
  }
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it('never delivers the bytes of another message, though memory is used again under all that are under way', async () => {
  const seed = Date.now() % 100_000;
  const memory = jest.spyOn(BlockCache.prototype, 'blockMemory');
  const takers: { taker: Taker; expected: number }[] = [];
  const subscribe = async (
    port: BrokerPort,
    more: Partial<Subscription>,
    expected: number,
  ): Promise<void> => {
    const taker = new Taker(seeded(seed + takers.length));
    takers.push({ taker, expected });
    const subscription = { group: `g${takers.length}`, topics: [{ topic: 't' }], ...more };
    await port.subscribe({ ...subscription, maxInFlightMessages: 300, leaseMs: 500 }, (batch) =>
      taker.take(batch),
    );
  };
  const producer = overTcp();
  await producer.admin.createTopic('t', { partitions: 3, flush: 'async' });
  await send(producer, 0, MESSAGES / 2);
  await subscribe(overTcp(), {}, MESSAGES);
  await subscribe(overTcp(), { order: 'by-key' }, MESSAGES);
  await send(producer, MESSAGES / 2, MESSAGES);
  // Keeps for ever what it gets, and so only has the last ones.
  await subscribe(inProcess(), { startAt: 'latest' }, 300);
  await send(producer, MESSAGES, MESSAGES + 300);
  for (const each of takers.slice(0, 2)) each.expected += 300;
  try {
    const allTaken = async (): Promise<boolean> => {
      for (const { taker } of takers) await taker.settleHeld();
      return takers.every(({ taker, expected }) => taker.done.size === expected);
    };
    await until(allTaken, 'all that was sent', 40_000);
    for (const { taker } of takers) expect(taker.wrong).toEqual([]);
  } catch (cause) {
    const done = takers.map(({ taker, expected }) => `${taker.done.size} of ${expected}`);
    throw new Error(`seed ${seed}, done ${done.join(', ')}`, { cause });
  }
  // Otherwise this proves nothing.
  const given = memory.mock.results.map(({ value }) => value as Buffer);
  expect(given.length - new Set(given).size).toBeGreaterThan(50);
}, 240_000);

it('leaves a message to whoever has it in process, also one that is looked at long after it was settled', async () => {
  const client = new EngineClient(broker);
  const kept: RawDelivery[] = [];
  await client.attach({ maxInFlightMessages: 500 });
  const producer = inProcess();
  // Acknowledged while their blocks are in the cache, which those that come later push out.
  for (let sent = 50; sent <= 500; sent += 50) {
    await send(producer, sent - 50, sent);
    await until(async () => {
      const taken = client.delivered.splice(0);
      await Promise.all(taken.map((delivery) => client.ack(delivery)));
      return kept.push(...taken) === sent;
    });
  }
  const wrong = kept.filter(({ message }) => !bodyOf(Number(message.tag)).equals(message.body));
  expect(wrong).toEqual([]);
});
