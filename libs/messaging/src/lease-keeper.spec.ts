import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { DeliveryPipeline } from './delivery-pipeline.js';
import { silentLogger, type MessagingLogger } from './observer.js';
import { fixedInterval } from './retry.js';
import { FakeBroker } from './testing/fake-broker.js';
import { defineEvent } from './contract.js';
import { z } from 'zod';

const LEASE_MS = 30_000;
const Slow = defineEvent({
  topic: 'test',
  tag: 'slow',
  version: 1,
  key: () => 'k',
  payload: z.object({}),
});

let broker: FakeBroker;
let errors: object[];
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  broker = new FakeBroker();
  errors = [];
});
afterEach(() => {
  expect(jest.getTimerCount()).toBeLessThanOrEqual(1);
  jest.useRealTimers();
});

async function consume(handle: () => Promise<void>): Promise<void> {
  const logger: MessagingLogger = { ...silentLogger, error: (fields: object) => void errors.push(fields) };
  const pipeline = new DeliveryPipeline({
    group: 'spec',
    routes: [{ takes: 'batch', contract: Slow, retry: fixedInterval({ attempts: 3, everyMs: 10 }), handle }],
    leaseMs: LEASE_MS,
    logger,
    observer: undefined,
    now: Date.now,
    random: () => 0,
  });
  await broker.subscribe(
    { group: 'spec', topics: [{ topic: 'test' }], maxBatchMessages: 2 },
    pipeline.process,
  );
  await broker.send(['a', 'b'].map((id) => ({ topic: 'test', tag: 'slow', id, body: Buffer.from('{}') })));
}

it('a handler that is slower than its lease keeps all of its batch until it is done, and not longer', async () => {
  let finish: () => void = () => undefined;
  await consume(() => new Promise((resolve) => (finish = resolve)));
  await jest.advanceTimersByTimeAsync(2 * LEASE_MS + 1);
  expect(broker.extended).toEqual(Array.from({ length: 6 }, () => ['a', 'b']).flat());
  finish();
  await broker.settled();
  expect(broker.verdicts).toEqual(['ack a', 'ack b']);
  await jest.advanceTimersByTimeAsync(2 * LEASE_MS);
  expect(broker.extended).toHaveLength(12);
  expect(jest.getTimerCount()).toBe(0);
});

it('a handler that never ends loses its messages after ten leases, and says so', async () => {
  await consume(() => new Promise(() => undefined));
  await jest.advanceTimersByTimeAsync(20 * LEASE_MS);
  expect(broker.extended.length / 2).toBe(29);
  expect(errors).toMatchObject([
    { messageId: 'a', heldMs: 10 * LEASE_MS },
    { messageId: 'b', heldMs: 10 * LEASE_MS },
  ]);
});

it('a lease that was lost all the same stays lost', async () => {
  let finish: () => void = () => undefined;
  await consume(() => new Promise((resolve) => (finish = resolve)));
  broker.loseLease('a');
  await jest.advanceTimersByTimeAsync(LEASE_MS);
  expect(new Set(broker.extended)).toEqual(new Set(['b']));
  finish();
  await broker.settled();
  expect(broker.verdicts).toEqual(['ack b']);
});
