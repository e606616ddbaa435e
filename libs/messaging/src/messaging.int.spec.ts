/** The whole way of a message, with Nest on one side and a real broker on the other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Controller, Injectable, type INestMicroservice } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { EmbeddedBroker } from '#libs/broker';
import type { GroupInfo } from './broker-admin.js';
import type { BrokerPort, TransactionDecision } from './broker-port.js';
import { MessageBus } from './bus.js';
import { CheckBack, Consume, ConsumeBatch } from './consume.decorator.js';
import { defineEvent } from './contract.js';
import type { Delivery } from './delivery.js';
import { envelope } from './envelope.js';
import { DomainError } from './errors.js';
import { INBOX_STORE } from './inbox.js';
import { MessagingModule } from './messaging.module.js';
import { MessagingServer } from './messaging.server.js';
import { fixedInterval } from './retry.js';
import { MemoryInbox } from './testing/memory-inbox.js';
import { until } from './testing/until.js';

const declare = (tag: string) =>
  defineEvent({
    topic: 'shop',
    tag,
    version: 1,
    key: ({ n }) => String(n),
    payload: z.object({ n: z.number() }),
  });
const [Single, Batched, Written] = [declare('single'), declare('batched'), declare('written')];
const Slow = declare('slow');
const ForPull = declare('pulled');
const SLOW_LEASE_MS = 600;
type Numbered = { n: number };

const retry = fixedInterval({ attempts: 3, everyMs: 10 });
const handled: string[] = [];
let isFixed = false;

@Controller()
class SingleConsumer {
  @Consume([Single, Written], { group: 'shop.single', once: 'inbox', retry })
  async handle({ payload, message }: Delivery<Numbered>): Promise<void> {
    if (payload.n === 13 && !isFixed) throw new Error('thirteen');
    handled.push(`${message.tag} ${payload.n}`);
    return Promise.resolve();
  }
}

@Controller()
class BatchedConsumer {
  @ConsumeBatch(Batched, { group: 'shop.batched', maxBatchMessages: 50, maxInFlightMessages: 100, retry })
  async handle(deliveries: readonly Delivery<Numbered>[]): Promise<void> {
    if (deliveries.some(({ payload }) => payload.n === 77))
      throw new DomainError('BAD', 'invalid', 'seventy-seven');
    handled.push(...deliveries.map(({ payload }) => String(payload.n)));
    return Promise.resolve();
  }
}

@Controller()
class SlowConsumer {
  @Consume(Slow, { group: 'shop.slow', leaseMs: SLOW_LEASE_MS, retry })
  async handle({ payload, attempt }: Delivery<Numbered>): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 2 * SLOW_LEASE_MS));
    handled.push(`slow ${payload.n}, attempt ${attempt}`);
  }
}

@Injectable()
class ShopCheckBack {
  @CheckBack('shop')
  async check(): Promise<TransactionDecision> {
    return Promise.resolve('commit');
  }
}

let dir: string;
let broker: EmbeddedBroker;
let port: BrokerPort;
let app: INestMicroservice;
let bus: MessageBus;

beforeEach(async () => {
  handled.splice(0);
  isFixed = false;
  dir = await mkdtemp(join(tmpdir(), 'messaging-'));
  broker = await EmbeddedBroker.open({ dir, transactions: { firstCheckMs: 50, everyMs: 50 } });
  port = broker.connect('shop');
  const module = await Test.createTestingModule({
    imports: [MessagingModule.forRoot({ broker: port, producer: 'shop', validate: false }), InboxModule()],
    controllers: [SingleConsumer, BatchedConsumer, SlowConsumer],
    providers: [ShopCheckBack],
  }).compile();
  bus = module.get(MessageBus);
  app = module.createNestMicroservice({ strategy: module.get(MessagingServer), logger: false });
  await app.listen();
});
afterEach(async () => {
  await app.close();
  await port.close();
  await broker.close();
  await rm(dir, { recursive: true, force: true });
});

function InboxModule() {
  class Inbox {}
  const provider = { provide: INBOX_STORE, useValue: new MemoryInbox() };
  return { module: Inbox, global: true, providers: [provider], exports: [INBOX_STORE] };
}

const group = async (name: string): Promise<GroupInfo | undefined> =>
  (await port.admin.groups()).find((each) => each.group === name);
const quiet = (name: string): Promise<void> =>
  until(async () => ((await group(name))?.lag ?? 1) === 0, `${name} without lag`);

describe('on the embedded broker', () => {
  it('a message is handled once and leaves no lag, also when it is sent twice', async () => {
    await bus.send(Single, { n: 1 }, { id: 'same' });
    await bus.send(Single, { n: 1 }, { id: 'same' });
    await bus.send(Single, { n: 2 });
    await until(() => handled.includes('single 2'), 'the second message');
    await quiet('shop.single');
    expect([...handled].sort()).toEqual(['single 1', 'single 2']);
  });

  it('a failing message ends as a dead letter with its history while the rest flows; redriven after the fix, it completes', async () => {
    await bus.sendBatch([12, 13, 14].map((n) => envelope(Single, { n }, { id: `m${n}` })));
    await until(async () => (await group('shop.single'))?.deadLetters === 1, 'the dead letter');
    const [letter] = await port.admin.deadLetters('shop.single');
    expect(letter).toMatchObject({ id: 'm13', reason: 'retries-exhausted', error: 'Error: thirteen' });
    expect(letter?.attempts.map(({ error }) => error)).toContain('Error: thirteen');
    await until(() => handled.length === 2, 'the others');
    expect([...handled].sort()).toEqual(['single 12', 'single 14']);
    isFixed = true;
    expect(await port.admin.redrive('shop.single', 'm13')).toBe(true);
    await until(() => handled.includes('single 13'), 'the redriven message');
  });

  it('a poison message does not take its batch with it', async () => {
    await bus.sendBatch(Array.from({ length: 100 }, (_, n) => envelope(Batched, { n })));
    await quiet('shop.batched');
    expect(new Set(handled).size).toBe(99);
    const letters = await port.admin.deadLetters('shop.batched');
    expect(letters.map(({ reason, message }) => [reason, message.key])).toEqual([['rejected', '77']]);
  });

  it('a message that cannot be parsed is a dead letter at once', async () => {
    await port.send([{ topic: 'shop', tag: 'single', id: 'broken', body: Buffer.from('{') }]);
    await until(async () => (await group('shop.single'))?.deadLetters === 1, 'the dead letter');
    expect(await port.admin.deadLetters('shop.single')).toMatchObject([
      { id: 'broken', reason: 'not-parseable' },
    ]);
  });

  it('a delayed message comes when it is due, and not when it was recalled', async () => {
    await bus.send(Single, { n: 1 }, { delayMs: 60_000, timerId: 'far' });
    await bus.send(Single, { n: 2 }, { delayMs: 30, timerId: 'near' });
    expect(await bus.recall('far')).toBe(true);
    await until(() => handled.length > 0, 'the due message');
    expect(handled).toEqual(['single 2']);
    expect((await port.admin.timers()).pending).toBe(0);
  });

  it('a handler that is slower than its lease handles its message once, and its verdict counts', async () => {
    await bus.send(Slow, { n: 1 });
    await quiet('shop.slow');
    expect(handled).toEqual(['slow 1, attempt 1']);
  });

  it('a half message without a decision is asked for, and the answer makes it visible', async () => {
    const dying = broker.connect('dying');
    await dying.prepare('shop', [{ topic: 'shop', tag: 'written', body: Buffer.from('{"n":5}') }]);
    await dying.close();
    await until(() => handled.includes('written 5'), 'the checked message');
  });

  it('pulls what waits for a group, which settles each by itself; what makes no sense is dead-lettered', async () => {
    const pull = () => bus.pull(ForPull, { group: 'puller', maxMessages: 10, waitMs: 10_000 });
    await port.send([{ topic: 'shop', tag: 'pulled', body: Buffer.from('no JSON') }]);
    expect(await pull()).toEqual([]);
    expect(await port.admin.deadLetters('puller')).toMatchObject([{ reason: 'not-parseable' }]);
    bus.sendOneway(ForPull, { n: 1 });
    const [first] = await pull();
    expect(first).toMatchObject({ payload: { n: 1 }, attempt: 1 });
    await first!.retry({ delayMs: 0, error: 'not now' });
    const [again] = await pull();
    expect(again).toMatchObject({ payload: { n: 1 }, attempt: 2, history: [{ error: 'not now' }] });
    await again!.ack();
    await bus.send(ForPull, { n: 2 });
    const [second] = await pull();
    await second!.deadLetter({ reason: 'rejected', error: 'never' });
    expect(await port.admin.deadLetters('puller')).toHaveLength(2);
  });
});
