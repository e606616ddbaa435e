import { beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { MessageBus } from './bus.js';
import { defineEvent } from './contract.js';
import type { Delivery } from './delivery.js';
import { DeliveryPipeline, type Route } from './delivery-pipeline.js';
import { envelope, type SendOptions } from './envelope.js';
import { DomainError, type ErrorKind } from './errors.js';
import { silentLogger, type DeliveryEnd } from './observer.js';
import { fixedInterval } from './retry.js';
import { FakeBroker } from './testing/fake-broker.js';
import { MemoryInbox } from './testing/memory-inbox.js';
import { parseTraceparent, traceContext } from './trace-context.js';

const Counted = defineEvent({
  topic: 'test',
  tag: 'counted',
  version: 1,
  key: ({ n }) => String(n),
  payload: z.object({ n: z.number() }),
});
type Counted = { n: number };
const Other = { ...Counted, tag: 'other', name: 'test.other' };

const retry = fixedInterval({ attempts: 3, everyMs: 10 });
const failing = (kind: ErrorKind): DomainError => new DomainError('FAILED', kind, kind);

let broker: FakeBroker;
let bus: MessageBus;
let ends: DeliveryEnd[];

beforeEach(() => {
  broker = new FakeBroker();
  bus = new MessageBus(broker, { producer: 'spec', validate: false });
  ends = [];
});

async function consume(route: Route, maxBatchMessages = 1): Promise<void> {
  const pipeline = new DeliveryPipeline({
    group: 'spec',
    routes: [route],
    leaseMs: 1_000,
    logger: silentLogger,
    observer: { deliveryEnded: (end) => ends.push(end) },
    now: () => 0,
    random: () => 0,
  });
  const topics = [{ topic: Counted.topic }];
  await broker.subscribe({ group: 'spec', topics, maxBatchMessages }, pipeline.process);
}

const one = (handle: (delivery: Delivery<Counted>) => Promise<void>, inbox?: MemoryInbox): Route => ({
  takes: 'one',
  contract: Counted,
  retry,
  handle: (delivery) => handle(delivery as Delivery<Counted>),
  ...(inbox !== undefined && { inbox }),
});

async function send(n: number, options?: SendOptions): Promise<void> {
  await bus.send(Counted, { n }, options);
  await broker.settled();
}

const outcomes = (): string[] => ends.map(({ outcome }) => outcome);

describe('a delivered message', () => {
  it('is acknowledged only once its handler is done', async () => {
    let finish: () => void = () => undefined;
    const started = new Promise<void>((resolveStarted) => {
      void consume(
        one(() => {
          resolveStarted();
          return new Promise((resolve) => (finish = resolve));
        }),
      );
    });
    await bus.send(Counted, { n: 1 }, { id: 'm' });
    await started;
    expect(broker.verdicts).toEqual([]);
    finish();
    await broker.settled();
    expect(broker.verdicts).toEqual(['ack m']);
  });

  it('is handled within its own trace', async () => {
    const traces: (string | undefined)[] = [];
    await consume(one(() => Promise.resolve(void traces.push(traceContext.current()))));
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await send(1, { headers: { traceparent } });
    expect(parseTraceparent(traces[0])?.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
  });

  it('is a dead letter when nobody here takes its tag any more, and is not lost', async () => {
    await consume(one(() => Promise.reject(new Error('not for this handler'))));
    await bus.send(Other, { n: 1 }, { id: 'm' });
    await broker.settled();
    expect(broker.deadLettered).toMatchObject([
      { reason: 'rejected', error: 'no handler of spec takes test.other' },
    ]);
    expect(ends).toMatchObject([{ outcome: 'dead-lettered', contract: 'test.*' }]);
  });

  it('has its tries to itself: deliveries that were lost are none of them', async () => {
    await consume(one(() => Promise.reject(failing('transient'))));
    const lost = { attempt: 1, atMs: 0, consumer: 'c', error: 'lost', isLost: true };
    broker.pastOf = () => [lost, { ...lost, attempt: 2 }];
    await send(1);
    const { history } = broker.deadLettered[0]!;
    expect(history.filter(({ isLost }) => !isLost).map(({ attempt }) => attempt)).toEqual([3, 4]);
  });

  it('is not handled any more when its lease was lost while it waited', async () => {
    let calls = 0;
    await consume(one(() => Promise.resolve(void calls++)));
    const sent = bus.send(Counted, { n: 1 }, { id: 'm' });
    broker.loseLease('m');
    await sent;
    await broker.settled();
    expect(calls).toBe(0);
    expect(outcomes()).toEqual(['lease-lost']);
  });

  it('cannot be acknowledged by a handler that outlived its lease', async () => {
    await consume(
      one(({ message, signal }) => {
        broker.loseLease(message.id);
        expect(signal.aborted).toBe(true);
        return Promise.resolve();
      }),
    );
    await send(1);
    expect(broker.verdicts).toEqual([]);
    expect(outcomes()).toEqual(['lease-lost']);
  });
});

describe('a message that cannot be parsed', () => {
  it.each([
    ['is not JSON', { body: Buffer.from('{"n":'), headers: {} }],
    ['is not what its contract says', { body: Buffer.from('{"n":"one"}'), headers: {} }],
    ['has a version of the future', { body: Buffer.from('{"n":1}'), headers: { version: '2' } }],
  ])('because it %s is dead-lettered at once', async (_, part) => {
    let calls = 0;
    await consume(one(() => Promise.resolve(void calls++)));
    await broker.send([{ topic: 'test', tag: 'counted', id: 'm', ...part }]);
    await broker.settled();
    expect(calls).toBe(0);
    expect(broker.deadLettered).toMatchObject([{ reason: 'not-parseable', kind: 'invalid', history: [] }]);
    expect(broker.deadLettered[0]?.error).toContain('test.counted m');
    expect(ends).toMatchObject([{ outcome: 'dead-lettered', reason: 'not-parseable' }]);
  });
});

describe('a message whose handler fails', () => {
  it('is retried by the policy, then dead-lettered with its history', async () => {
    await consume(one(() => Promise.reject(failing('transient'))));
    await send(1);
    expect(broker.retryDelaysMs).toEqual([10, 10]);
    expect(broker.deadLettered).toMatchObject([
      { reason: 'retries-exhausted', kind: 'transient', history: [{ attempt: 1 }, { attempt: 2 }] },
    ]);
    expect(broker.deadLettered[0]?.error).toBe('DomainError: FAILED: transient');
    expect(outcomes()).toEqual(['retried', 'retried', 'dead-lettered']);
  });

  it('is acknowledged when a later attempt succeeds', async () => {
    await consume(
      one(({ attempt }) => (attempt < 3 ? Promise.reject(failing('not-found')) : Promise.resolve())),
    );
    await send(1);
    expect(outcomes()).toEqual(['retried', 'retried', 'handled']);
  });

  it('is rejected at once when it can never succeed', async () => {
    await consume(one(() => Promise.reject(failing('invalid'))));
    await send(1);
    expect(broker.deadLettered).toMatchObject([{ reason: 'rejected', kind: 'invalid', history: [] }]);
  });

  it('is done when the failure was the expected other outcome', async () => {
    await consume(one(() => Promise.reject(failing('conflict'))));
    await send(1);
    expect(outcomes()).toEqual(['conflict']);
    expect(broker.deadLettered).toEqual([]);
  });

  it('does not take the process down again and again', async () => {
    let calls = 0;
    const pipeline = new DeliveryPipeline({
      group: 'spec',
      routes: [one(() => Promise.resolve(void calls++))],
      leaseMs: 1_000,
      logger: silentLogger,
      observer: undefined,
      now: () => 0,
      random: () => 0,
    });
    // Every lost lease counts as an attempt; the process never lived to report a failure.
    await broker.subscribe({ group: 'spec', topics: [{ topic: 'test' }] }, (batch) =>
      pipeline.process(batch.map((delivered) => ({ ...delivered, attempt: 3 + 17 }))),
    );
    await send(1);
    expect(calls).toBe(0);
    expect(broker.deadLettered).toMatchObject([{ reason: 'retries-exhausted', kind: undefined }]);
  });
});

describe('with an inbox', () => {
  it('a duplicate is acknowledged and not handled', async () => {
    const handled: number[] = [];
    await consume(one(({ payload }) => Promise.resolve(void handled.push(payload.n)), new MemoryInbox()));
    await send(7, { id: 'm' });
    broker.redeliver(0);
    await broker.settled();
    expect(handled).toEqual([7]);
    expect(broker.verdicts).toEqual(['ack m', 'ack m']);
    expect(outcomes()).toEqual(['handled', 'duplicate']);
  });

  it('the handler gets the transaction, and a failure keeps no row', async () => {
    const inbox = new MemoryInbox();
    const transactions: unknown[] = [];
    await consume(
      one(({ tx, attempt }) => {
        transactions.push(tx);
        return attempt === 1 ? Promise.reject(failing('transient')) : Promise.resolve();
      }, inbox),
    );
    await send(1, { id: 'm' });
    expect(transactions).toEqual([{ group: 'spec' }, { group: 'spec' }]);
    expect(outcomes()).toEqual(['retried', 'handled']);
    expect([...inbox.rows]).toEqual(['spec m']);
  });
});

describe('a batch', () => {
  const calls: number[][] = [];
  const route = (fails: (ns: readonly number[], attempt: number) => Error | undefined): Route => ({
    takes: 'batch',
    contract: Counted,
    retry,
    handle: (deliveries) => {
      const ns = deliveries.map(({ payload }) => (payload as Counted).n);
      calls.push(ns);
      const error = fails(ns, deliveries[0]?.attempt ?? 0);
      return error === undefined ? Promise.resolve() : Promise.reject(error);
    },
  });
  const sendAll = async (count: number): Promise<void> => {
    const ns = Array.from({ length: count }, (_, n) => n);
    await bus.sendBatch(ns.map((n) => envelope(Counted, { n }, { id: `m${n}` })));
    await broker.settled();
  };

  beforeEach(() => void calls.splice(0));

  it('is one call, and all of it is acknowledged', async () => {
    await consume(
      route(() => undefined),
      100,
    );
    await sendAll(4);
    expect(calls).toEqual([[0, 1, 2, 3]]);
    expect(broker.verdicts).toEqual(['ack m0', 'ack m1', 'ack m2', 'ack m3']);
  });

  it('is bisected until the one poison message is alone', async () => {
    await consume(
      route((ns) => (ns.includes(3) ? failing('invalid') : undefined)),
      100,
    );
    await sendAll(8);
    expect(calls).toEqual([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [0, 1], [2, 3], [2], [3]]);
    expect(broker.deadLettered).toMatchObject([{ message: { id: 'm3' }, reason: 'rejected' }]);
    expect(outcomes().filter((outcome) => outcome === 'handled')).toHaveLength(7);
  });

  it('dead-letters nobody for a failure that can never succeed who was not tried alone', async () => {
    await consume(
      route((ns) => (ns.length > 1 ? failing('invalid') : undefined)),
      100,
    );
    await sendAll(32);
    expect(broker.deadLettered).toEqual([]);
    expect(outcomes()).toEqual(Array(32).fill('handled'));
  });

  it('keeps what cannot be parsed from its handler', async () => {
    await consume(
      route(() => undefined),
      100,
    );
    const wrong = { ...Counted, key: () => 'k', payload: z.any() };
    await bus.sendBatch([envelope(Counted, { n: 1 }, { id: 'good' }), envelope(wrong, 'bad', { id: 'bad' })]);
    await broker.settled();
    expect(calls).toEqual([[1]]);
    expect(broker.deadLettered).toMatchObject([{ message: { id: 'bad' }, reason: 'not-parseable' }]);
  });

  it('does not hammer a database that is down: it is retried after a few calls', async () => {
    // Down for everybody's first attempt, up again when the retries come.
    await consume(
      route((_, attempt) => (attempt === 1 ? failing('transient') : undefined)),
      1_000,
    );
    await sendAll(1_000);
    expect(broker.deadLettered).toEqual([]);
    expect(broker.retryDelaysMs).toHaveLength(1_000);
    // The fake broker brings retries one by one: calls of more than one are those of the first attempt.
    expect(calls.filter((ns) => ns.length > 1).length).toBeLessThanOrEqual(10);
  });

  it.each([
    ['all at their last attempt', () => 3],
    ['some at their last attempt', (n: number) => (n % 2 === 0 ? 1 : 3)],
  ])(
    'dead-letters nobody who was not tried alone, however many calls fail in a row: %s',
    async (_, attemptOf) => {
      const pipeline = new DeliveryPipeline({
        group: 'spec',
        // A database that is too slow for more than one of them.
        routes: [route((ns) => (ns.length > 1 ? failing('transient') : undefined))],
        leaseMs: 1_000,
        logger: silentLogger,
        observer: undefined,
        now: () => 0,
        random: () => 0,
      });
      const topics = [{ topic: Counted.topic }];
      await broker.subscribe({ group: 'spec', topics, maxBatchMessages: 64 }, (batch) =>
        pipeline.process(batch.map((delivered, n) => ({ ...delivered, attempt: attemptOf(n) }))),
      );
      await sendAll(64);
      expect(broker.deadLettered).toEqual([]);
      expect(calls.filter((ns) => ns.length === 1)).toHaveLength(64);
      expect(broker.verdicts.filter((verdict) => verdict.startsWith('ack'))).toHaveLength(64);
    },
  );

  it('isolates several poison messages even when the failure looks transient', async () => {
    await consume(
      route((ns) => (ns.includes(5) || ns.includes(90) ? failing('transient') : undefined)),
      100,
    );
    await sendAll(100);
    expect(broker.deadLettered.map(({ message }) => message.id).sort()).toEqual(['m5', 'm90']);
    expect(broker.retryDelaysMs).toHaveLength(4);
  });

  it('leaves out, between its halves, what was lost meanwhile', async () => {
    await consume(
      route((ns) => {
        if (ns.length === 4) broker.loseLease('m2');
        return ns.length === 4 ? failing('transient') : undefined;
      }),
      100,
    );
    await sendAll(4);
    expect(calls).toEqual([[0, 1, 2, 3], [0, 1], [3]]);
    expect(outcomes().sort()).toEqual(['handled', 'handled', 'handled', 'lease-lost']);
  });
});
