import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, jest, test } from '@jest/globals';
import { Batcher, requireTimelyBatches } from './batcher.js';

/** A batcher whose batches end when they are told to. */
function heldBatcher(maxItems: number) {
  const batches: (readonly number[])[] = [];
  const ends: (() => void)[] = [];
  const batcher = new Batcher<number, number>(maxItems, async (items) => {
    batches.push(items);
    await new Promise<void>((resolve) => ends.push(resolve));
    return items.map((item) => item * 10);
  });
  return { batcher, batches, endNext: () => ends.shift()?.() };
}

test('a lone call goes at once; those that come meanwhile go together, no more than fit', async () => {
  const { batcher, batches, endNext } = heldBatcher(2);
  const calls = [1, 2, 3, 4].map((item) => batcher.add(item));
  expect(batches).toEqual([[1]]);
  endNext();
  expect(await calls[0]).toBe(10);
  expect(batches).toEqual([[1], [2, 3]]);
  endNext();
  expect(await Promise.all(calls.slice(1, 3))).toEqual([20, 30]);
  endNext();
  expect(await calls[3]).toBe(40);
  expect(batches).toEqual([[1], [2, 3], [4]]);
  const later = batcher.add(5);
  endNext();
  expect(await later).toBe(50);
});

test('a batch that fails is the failure of its own calls only', async () => {
  const batcher = new Batcher<string, string>(10, (items) =>
    items.includes('poison') ? Promise.reject(new Error('poisoned')) : Promise.resolve(items),
  );
  const first = batcher.add('first');
  const doomed = Promise.allSettled([batcher.add('poison'), batcher.add('beside it')]);
  expect(await first).toBe('first');
  expect((await doomed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await batcher.add('after')).toBe('after');
});

test('an answer that leaves an item out is an error, not somebody else’s result', async () => {
  const batcher = new Batcher<number, number>(10, () => Promise.resolve([]));
  await expect(batcher.add(1)).rejects.toThrow('0 results for 1 items');
});

test('a batch runs in the context of none of its callers', async () => {
  const context = new AsyncLocalStorage<string>();
  const batcher = new Batcher<number, string | undefined>(1, (items) =>
    Promise.resolve(items.map(() => context.getStore())),
  );
  const seen = await Promise.all(['a', 'b'].map((name) => context.run(name, () => batcher.add(1))));
  expect(seen).toEqual([undefined, undefined]);
});

test('a batch that never ends is unclear to its own calls only: the next one goes on, and readiness tells', async () => {
  jest.useFakeTimers();
  try {
    const ends: (() => void)[] = [];
    const batcher = new Batcher<number, number>(10, async (items) => {
      if (items.includes(1)) await new Promise<void>((resolve) => ends.push(resolve));
      return items;
    });
    const stuck = batcher.add(1);
    const after = batcher.add(2);
    const told = expect(stuck).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', kind: 'transient' });
    await jest.advanceTimersByTimeAsync(29_000);
    expect(() => requireTimelyBatches()).not.toThrow();
    await jest.advanceTimersByTimeAsync(1_000);
    await told;
    expect(await after).toBe(2);
    expect(() => requireTimelyBatches()).not.toThrow();

    const again = expect(batcher.add(1)).rejects.toThrow('not known');
    await jest.advanceTimersByTimeAsync(30_000);
    await again;
    expect(() => requireTimelyBatches()).toThrow('30000 ms');
    // Not for ever: a service that is not ready gets no calls that could show that it is well.
    await jest.advanceTimersByTimeAsync(31_000);
    expect(() => requireTimelyBatches()).not.toThrow();
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});
