import { describe, expect, it } from '@jest/globals';
import { arrivalsMs, openLoop, seededRandom } from './schedule.js';

describe('arrivals', () => {
  it('are the same for the same seed, and others for another', () => {
    const one = arrivalsMs(1_000, 500, seededRandom(7));
    expect(arrivalsMs(1_000, 500, seededRandom(7))).toEqual(one);
    expect(arrivalsMs(1_000, 500, seededRandom(8))).not.toEqual(one);
  });

  it('come in order, at the rate asked for, in clumps', () => {
    const due = arrivalsMs(20_000, 1_000, seededRandom(42));
    const gaps = Array.from(due.subarray(1), (atMs, index) => atMs - (due[index] ?? 0));
    expect(gaps.every((gap) => gap >= 0)).toBe(true);
    expect(due.at(-1)).toBeGreaterThan(19_000);
    expect(due.at(-1)).toBeLessThan(21_000);
    // Poisson: a share of e^-1 of the gaps is longer than the mean.
    const long = gaps.filter((gap) => gap > 1).length / gaps.length;
    expect(long).toBeGreaterThan(0.34);
    expect(long).toBeLessThan(0.4);
  });
});

describe('the open loop', () => {
  it('lets every buyer arrive when due, in order, whatever became of those before', async () => {
    const startedAt = performance.now();
    const clock = () => performance.now() - startedAt;
    const arrived: [buyer: number, atMs: number][] = [];
    const due = Float64Array.from([0, 5, 5, 30, 31]);
    await openLoop(due, clock, (buyer) => arrived.push([buyer, clock()]));
    expect(arrived.map(([buyer]) => buyer)).toEqual([0, 1, 2, 3, 4]);
    for (const [buyer, atMs] of arrived) expect(atMs).toBeGreaterThanOrEqual(due[buyer] ?? Infinity);
  });

  it('is over at once without buyers', async () => {
    let arrived = 0;
    await openLoop(
      new Float64Array(0),
      () => 0,
      () => (arrived += 1),
    );
    expect(arrived).toBe(0);
  });
});
