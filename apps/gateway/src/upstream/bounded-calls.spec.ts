import { expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import { BoundedCalls, type Patience } from './bounded-calls.js';

const patience = (left = new AbortController().signal): Patience => ({
  left,
  deadlineMs: performance.now() + 60_000,
});
const never = (): Promise<never> => new Promise(() => undefined);
const answer = () => ({ body: new EventEmitter() }) as never;

test('what would wait beyond the bound is refused at once, and there is room again when one has given up', async () => {
  const calls = new BoundedCalls({ maxRunning: 1, maxWaiting: 1 });
  void calls.run(never, patience());
  const abort = new AbortController();
  const waiting = calls.run(never, patience(abort.signal));
  await expect(calls.run(never, patience())).rejects.toMatchObject({ reason: 'full' });
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ reason: 'left' });
  void calls.run(never, patience());
  await expect(calls.run(never, patience())).rejects.toMatchObject({ reason: 'full' });
});

test('a place is free again when the body was read, not before', async () => {
  const calls = new BoundedCalls({ maxRunning: 1, maxWaiting: 1 });
  const first = await calls.run(() => Promise.resolve(answer()), patience());
  let begun = false;
  const second = calls.run(() => {
    begun = true;
    return Promise.resolve(answer());
  }, patience());
  await Promise.resolve();
  expect(begun).toBe(false);
  first.body.emit('close');
  await second;
  expect(begun).toBe(true);
});

test('a call that does not hear of its abort takes its place until it has ended, but not its caller', async () => {
  const calls = new BoundedCalls({ maxRunning: 1, maxWaiting: 0 });
  let end = (_error: Error): void => undefined;
  const deaf = calls.run(() => new Promise((_resolve, reject) => (end = reject)), {
    ...patience(),
    deadlineMs: performance.now(),
  });
  await expect(deaf).rejects.toMatchObject({ reason: 'late' });
  await expect(calls.run(never, patience())).rejects.toMatchObject({ reason: 'full' });
  end(new Error('at last'));
  await new Promise((resolve) => setImmediate(resolve));
  await calls.run(() => Promise.resolve(answer()), patience());
});
