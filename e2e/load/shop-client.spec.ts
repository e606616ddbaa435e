import { describe, expect, it } from '@jest/globals';
import { Gate } from './gate.js';
import { callWithRetries, type Answer } from './shop-client.js';

const answer = (status: number): Answer => ({
  status,
  body: undefined,
  nextPage: undefined,
  code: undefined,
  retryAfterMs: status === 202 ? undefined : 0,
});

async function answering(...statuses: number[]): Promise<{ status: number; retries: number }> {
  let retries = 0;
  const { status } = await callWithRetries(() => Promise.resolve(answer(statuses.shift() ?? 202)), {
    maxRetries: 3,
    maxWaitMs: 1,
    random: () => 0,
    onRetry: () => (retries += 1),
  });
  return { status, retries };
}

describe('a buyer who is told to come back', () => {
  it.each([0, 429, 502, 503, 504])('does so after %i', async (status) => {
    expect(await answering(status, 202)).toEqual({ status: 202, retries: 1 });
  });

  it.each([202, 400, 401, 403, 409, 422, 500])('takes %i for an answer', async (status) => {
    expect(await answering(status)).toEqual({ status, retries: 0 });
  });

  it('gives up after so many tries', async () => {
    expect(await answering(503, 503, 503, 503, 202)).toEqual({ status: 503, retries: 3 });
  });
});

describe('the gate', () => {
  it('never lets more in than it is wide, and everybody in the end, in order', async () => {
    const gate = new Gate(3);
    let inside = 0;
    let most = 0;
    const done: number[] = [];
    const work = (caller: number) =>
      gate.pass(async () => {
        most = Math.max(most, (inside += 1));
        await new Promise(setImmediate);
        inside -= 1;
        done.push(caller);
      });
    await Promise.all(Array.from({ length: 50 }, (_, caller) => work(caller)));
    await Promise.all([work(50), work(51)]);
    expect(most).toBe(3);
    expect(done).toEqual(Array.from({ length: 52 }, (_, caller) => caller));
  });

  it('opens again after work that failed', async () => {
    const gate = new Gate(1);
    await expect(gate.pass(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await gate.pass(() => Promise.resolve(1))).toBe(1);
  });
});
