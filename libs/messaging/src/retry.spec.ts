import { describe, expect, it } from '@jest/globals';
import { backoff, delayLevelMs, fixedInterval, rocketmqLevels, type RetryPolicy } from './retry.js';

const delays = (policy: RetryPolicy, count: number, random = 0): number[] =>
  Array.from({ length: count }, (_, index) => policy.delayMs(index + 1, () => random));

describe('backoff', () => {
  it('doubles up to its bound', () => {
    expect(delays(backoff({ attempts: 9, firstDelayMs: 100, maxDelayMs: 1_000 }), 6)).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
  });

  it('is bounded by a minute unless told otherwise, however many attempts', () => {
    expect(backoff({ attempts: 5_000, firstDelayMs: 1 }).delayMs(4_999, () => 0)).toBe(60_000);
  });

  it('takes up to the jitter off a delay, so that it never exceeds the bound', () => {
    const policy = backoff({ attempts: 3, firstDelayMs: 1_000, jitter: 0.5 });
    expect(delays(policy, 1, 0)).toEqual([1_000]);
    expect(delays(policy, 1, 0.5)).toEqual([750]);
    expect(delays(policy, 1, 0.999_999)).toEqual([500]);
  });

  it.each([
    { attempts: 0, firstDelayMs: 1 },
    { attempts: 1.5, firstDelayMs: 1 },
    { attempts: 1, firstDelayMs: -1 },
    { attempts: 1, firstDelayMs: 1, factor: 0.5 },
    { attempts: 1, firstDelayMs: 1, jitter: 1.1 },
  ])('refuses %j when it is made, not when a message has failed', (options) => {
    expect(() => backoff(options)).toThrow(RangeError);
  });
});

describe('fixedInterval', () => {
  it('waits the same every time', () => {
    expect(delays(fixedInterval({ attempts: 3, everyMs: 50 }), 3)).toEqual([50, 50, 50]);
  });
});

describe('RocketMQ levels', () => {
  it('are its eighteen', () => {
    const seconds = Array.from({ length: 18 }, (_, index) => delayLevelMs(index + 1) / 1_000);
    expect(seconds).toEqual([
      1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200,
    ]);
  });

  it('treat level 20 as level 18 and level 0 as no delay', () => {
    expect(delayLevelMs(20)).toBe(2 * 60 * 60 * 1_000);
    expect(delayLevelMs(0)).toBe(0);
    expect(delayLevelMs(-1)).toBe(0);
  });

  it('retry from level 3 on and stay at the last', () => {
    expect(delays(rocketmqLevels({ attempts: 20 }), 2)).toEqual([10_000, 30_000]);
    expect(rocketmqLevels({ attempts: 20 }).delayMs(19, () => 0)).toBe(7_200_000);
  });
});
