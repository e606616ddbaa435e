import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { z } from 'zod';
import { MessageBus } from './bus.js';
import { MAX_PROBE_PAUSE_MS } from './circuit-breaker.js';
import { defineEvent } from './contract.js';
import type { Delivery } from './delivery.js';
import { DeliveryPipeline, type Route } from './delivery-pipeline.js';
import { envelope } from './envelope.js';
import { DomainError, MessagingError, UnavailableError } from './errors.js';
import { silentLogger } from './observer.js';
import { fixedInterval } from './retry.js';
import { FakeBroker } from './testing/fake-broker.js';

const TEN_MINUTES_MS = 600_000;
const LEASE_MS = 30_000;
const Counted = defineEvent({
  topic: 'test',
  tag: 'counted',
  version: 1,
  key: ({ n }) => String(n),
  payload: z.object({ n: z.number() }),
});
const retry = fixedInterval({ attempts: 3, everyMs: 10 });

let broker: FakeBroker;
let bus: MessageBus;
let pipeline: DeliveryPipeline;
let isAway: boolean;
let calls: number[][];
let handled: number[];
let pauses: boolean[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  broker = new FakeBroker();
  bus = new MessageBus(broker, { producer: 'spec', validate: false });
  [isAway, calls, handled, pauses] = [true, [], [], []];
});
afterEach(() => {
  jest.useRealTimers();
});

const away = (): Error => new Error("Can't reach database server");

/** What each handler does: its own failure first, as one that parses or checks does, then the database. */
async function handle(ns: number[], fails: (ns: number[]) => Error | undefined): Promise<void> {
  calls.push(ns);
  if (isAway) throw away();
  const error = fails(ns);
  if (error !== undefined) throw error;
  handled.push(...ns);
  return Promise.resolve();
}

async function consume(route: Route, maxBatchMessages = 1): Promise<void> {
  pipeline = new DeliveryPipeline({
    group: 'spec',
    routes: [route],
    leaseMs: LEASE_MS,
    logger: silentLogger,
    observer: { deliveryEnded: () => undefined, paused: (_group, isPaused) => pauses.push(isPaused) },
    isUnavailable: (error) => error instanceof Error && error.message.startsWith("Can't reach"),
    now: Date.now,
    random: () => 0,
  });
  const topics = [{ topic: Counted.topic }];
  await broker.subscribe({ group: 'spec', topics, maxBatchMessages }, pipeline.process);
}

const none = (): undefined => undefined;
const one = (fails: (ns: number[]) => Error | undefined = none): Route => ({
  takes: 'one',
  contract: Counted,
  retry,
  handle: ({ payload }) => handle([(payload as { n: number }).n], fails),
});
const batch = (fails: (ns: number[]) => Error | undefined = none): Route => ({
  takes: 'batch',
  contract: Counted,
  retry,
  handle: (deliveries) =>
    handle(
      deliveries.map(({ payload }) => (payload as { n: number }).n),
      fails,
    ),
});

const ids = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const send = (ns: number[]): Promise<unknown> =>
  bus.sendBatch(ns.map((n) => envelope(Counted, { n }, { id: `m${n}` })));
const deadIds = (): string[] => broker.deadLettered.map(({ message }) => message.id);
const sorted = (ns: number[]): number[] => [...ns].sort((a, b) => a - b);

async function comeBack(): Promise<void> {
  isAway = false;
  await jest.advanceTimersByTimeAsync(MAX_PROBE_PAUSE_MS);
  await jest.advanceTimersByTimeAsync(1_000);
  await broker.settled();
}

describe.each([
  ['single messages', one, 1],
  ['batches', batch, 4],
] as const)('an outage of ten minutes, for %s', (_what, route, size) => {
  it('uses up no attempt, leaves no dead letter, and everything is handled soon after it', async () => {
    await consume(route(), size);
    await send(ids(20));
    await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS / 2);
    await send([20, 21]);
    await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS / 2);
    expect(broker.verdicts).toEqual([]);
    expect(pauses).toEqual([true]);
    await comeBack();
    expect(sorted(handled)).toEqual(ids(22));
    expect(broker.verdicts.every((verdict) => verdict.startsWith('ack'))).toBe(true);
    expect(pauses).toEqual([true, false]);
    expect(jest.getTimerCount()).toBeLessThanOrEqual(1);
  });

  it('is tried by one at a time, no more often than every ten seconds after a while', async () => {
    await consume(route(), size);
    await send(ids(20));
    await jest.advanceTimersByTimeAsync(60_000);
    const before = calls.length;
    expect(before).toBeLessThan(20 + 12);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(calls.length - before).toBe(60_000 / MAX_PROBE_PAUSE_MS);
    expect(pipeline.trouble()).toMatchObject({ group: 'spec', isHang: false, isPause: true });
    await comeBack();
    expect(pipeline.trouble()).toBeUndefined();
  });

  it('keeps the leases of all that wait', async () => {
    await consume(route(), size);
    await send(ids(4));
    await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
    for (const n of ids(4)) {
      const extensions = broker.extended.filter((id) => id === `m${n}`).length;
      expect(extensions).toBeGreaterThanOrEqual((TEN_MINUTES_MS / LEASE_MS) * 2);
    }
    await comeBack();
  });

  it('does not save a poisonous message that comes in it: that is dead-lettered alone, with its own failures', async () => {
    await consume(
      route((ns) => (ns.includes(7) ? new DomainError('POISON', 'unknown', 'poison') : undefined)),
      size,
    );
    await send(ids(12));
    await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
    await comeBack();
    await jest.advanceTimersByTimeAsync(MAX_PROBE_PAUSE_MS);
    await broker.settled();
    expect(deadIds()).toEqual(['m7']);
    const [letter] = broker.deadLettered;
    expect(letter?.reason).toBe('retries-exhausted');
    expect(letter?.history.map(({ error }) => error)).toEqual([
      'DomainError: POISON: poison',
      'DomainError: POISON: poison',
    ]);
    expect(calls.filter((ns) => ns.length === 1 && ns[0] === 7).length).toBeGreaterThanOrEqual(3);
    expect(sorted(handled)).toEqual(ids(12).filter((n) => n !== 7));
  });
});

it('a message that always says that something is away does not keep the others out, and ends as a dead letter', async () => {
  isAway = false;
  await consume(one((ns) => (ns.includes(0) ? away() : undefined)));
  await send(ids(5));
  await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
  for (let n = 5; n < 30; n += 1) {
    await send([n]);
    await jest.advanceTimersByTimeAsync(MAX_PROBE_PAUSE_MS);
  }
  expect(sorted(handled)).toEqual(ids(30).slice(1));
  expect(deadIds()).toEqual(['m0']);
});

it('a message that is wrong whatever is away gets its verdict, and the next one tries', async () => {
  const wrong = new DomainError('WRONG', 'invalid', 'never right');
  await consume({
    ...one(),
    handle: ({ payload }: Delivery<unknown>) => {
      const { n } = payload as { n: number };
      return n === 1 ? Promise.reject(wrong) : handle([n], none);
    },
  } as Route);
  await send([0]);
  await jest.advanceTimersByTimeAsync(1);
  await send([1, 2]);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(deadIds()).toEqual(['m1']);
  await comeBack();
  expect(sorted(handled)).toEqual([0, 2]);
});

it('while one tries, however long it takes, the others wait', async () => {
  let [running, most] = [0, 0];
  await consume({
    ...one(),
    handle: async () => {
      running += 1;
      most = Math.max(most, running);
      // Longer than any pause: packets that go nowhere.
      if (isAway) await new Promise((resolve) => setTimeout(resolve, 2 * MAX_PROBE_PAUSE_MS));
      running -= 1;
      if (isAway) throw away();
    },
  });
  await send([0]);
  await jest.advanceTimersByTimeAsync(2 * MAX_PROBE_PAUSE_MS);
  for (const n of ids(20)) {
    await send([n + 1]);
    await jest.advanceTimersByTimeAsync(MAX_PROBE_PAUSE_MS / 2);
  }
  expect(most).toBe(1);
  await jest.advanceTimersByTimeAsync(2 * MAX_PROBE_PAUSE_MS);
  await comeBack();
  expect(broker.verdicts).toHaveLength(21);
});

it.each([
  ['a provider', new UnavailableError('PROVIDER_AWAY', 'no answer')],
  ['each part of a batch', new AggregateError([away(), away()])],
  ['the broker, for what the handler sends', new MessagingError('BROKER_UNAVAILABLE', 'not connected')],
])('%s that is away pauses the group as well', async (_what, error) => {
  isAway = false;
  let fails = true;
  await consume(one(() => (fails ? error : undefined)));
  await send([1]);
  await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
  fails = false;
  await comeBack();
  expect(broker.verdicts).toEqual(['ack m1']);
});

it('a message whose lease is lost while it waits is left to its new owner', async () => {
  await consume(batch(), 2);
  await send([0, 1]);
  await jest.advanceTimersByTimeAsync(1_000);
  broker.loseLease('m0');
  const before = calls.length;
  // Long enough for tries of the batch and of one alone.
  await jest.advanceTimersByTimeAsync(60_000);
  await comeBack();
  expect(new Set(calls.slice(before).flat())).toEqual(new Set([1]));
  expect(handled).toEqual([1]);
  expect(broker.verdicts).toEqual(['ack m1']);
});

it('so is a single one', async () => {
  await consume(one());
  await send([0, 1]);
  await jest.advanceTimersByTimeAsync(1_000);
  broker.loseLease('m1');
  await comeBack();
  expect(handled).toEqual([0]);
  expect(broker.verdicts).toEqual(['ack m0']);
});

it('a batch that was lost while it waited says nothing about what is away', async () => {
  await consume(batch(), 2);
  await send(ids(4));
  await jest.advanceTimersByTimeAsync(1_000);
  broker.loseLease('m0');
  broker.loseLease('m1');
  await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
  expect(pauses).toEqual([true]);
  await comeBack();
  expect(handled).toEqual([2, 3]);
});

it('a message that always says that something is away keeps nobody of its batch out, with no other traffic', async () => {
  isAway = false;
  await consume(
    batch((ns) => (ns.includes(5) ? away() : undefined)),
    8,
  );
  await send(ids(8));
  await jest.advanceTimersByTimeAsync(60_000);
  expect(sorted(handled)).toEqual(ids(8).filter((n) => n !== 5));
});

it('an outage that begins while a batch is divided keeps the part whose turn is still to come', async () => {
  isAway = false;
  const poison = new DomainError('POISON', 'invalid', 'poison');
  await consume(
    batch((ns) => {
      if (!ns.includes(0)) return undefined;
      isAway = calls.length === 1;
      return poison;
    }),
    4,
  );
  await send(ids(4));
  await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
  expect(broker.verdicts).toEqual([]);
  expect(pipeline.trouble()).toMatchObject({ isHang: false, isPause: true });
  for (const n of ids(4)) {
    const extensions = broker.extended.filter((id) => id === `m${n}`).length;
    expect(extensions).toBeGreaterThanOrEqual((TEN_MINUTES_MS / LEASE_MS) * 2);
  }
  await comeBack();
  expect(sorted(handled)).toEqual([1, 2, 3]);
  expect(deadIds()).toEqual(['m0']);
});

it('a batch of which one part failed for another reason is no outage', async () => {
  isAway = false;
  const failure = new AggregateError([away(), new DomainError('WRONG', 'invalid', 'wrong')]);
  await consume(
    batch((ns) => (ns.includes(1) ? failure : undefined)),
    2,
  );
  await send([0, 1]);
  await jest.advanceTimersByTimeAsync(TEN_MINUTES_MS);
  await broker.settled();
  expect(pauses).toEqual([]);
  expect(handled).toEqual([0]);
  expect(deadIds()).toEqual(['m1']);
});

it('who comes after the stop does not wait either', async () => {
  await consume(one());
  await send([0]);
  await jest.advanceTimersByTimeAsync(1_000);
  pipeline.stop();
  await send([1]);
  await broker.settled();
  expect(broker.verdicts).toEqual([]);
});

it('who stops does not wait for what is away, and settles nothing', async () => {
  await consume(one());
  await send(ids(3));
  await jest.advanceTimersByTimeAsync(1_000);
  pipeline.stop();
  await broker.settled();
  expect(broker.verdicts).toEqual([]);
});

describe('a handler that hangs', () => {
  it('is told as a hang as well when it was to find out whether something is back', async () => {
    let tries = 0;
    const hangs = new Promise<void>(() => undefined);
    await consume({ ...one(), handle: () => (++tries === 1 ? Promise.reject(away()) : hangs) });
    await send([1, 2]);
    await jest.advanceTimersByTimeAsync(5 * LEASE_MS);
    expect(pipeline.trouble()).toMatchObject({ isHang: false });
    await jest.advanceTimersByTimeAsync(6 * LEASE_MS);
    expect(pipeline.trouble()).toMatchObject({ isHang: true, isPause: false });
  });

  it('is told in readiness while it is at work, and as a hang when none ends any more', async () => {
    isAway = false;
    let finish: () => void = () => undefined;
    await consume({ ...one(), handle: () => new Promise<void>((resolve) => (finish = resolve)) });
    await send([1]);
    await jest.advanceTimersByTimeAsync(LEASE_MS);
    expect(pipeline.trouble()).toBeUndefined();
    await jest.advanceTimersByTimeAsync(2 * LEASE_MS);
    expect(pipeline.trouble()).toMatchObject({ isHang: false });
    await jest.advanceTimersByTimeAsync(10 * LEASE_MS);
    expect(pipeline.trouble()).toMatchObject({ isHang: true });
    finish();
    await jest.advanceTimersByTimeAsync(1);
    expect(pipeline.trouble()).toBeUndefined();
  });
});
