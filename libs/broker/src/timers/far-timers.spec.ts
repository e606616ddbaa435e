import { describe, expect, it } from '@jest/globals';
import { FarTimers, HORIZON_MS } from './far-timers.js';

const START_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const hashOf = (position: number): number => Math.imul(position, 0x9e3779b1) >>> 0;

/** Steps until nothing is left to do, and what they named. */
function approach(far: FarTimers, nowMs: number, limit = 100): { steps: number; named: number[] } {
  const named: number[] = [];
  let steps = 0;
  for (let positions = far.approaching(nowMs, limit); positions; positions = far.approaching(nowMs, limit)) {
    expect(positions.length).toBeLessThanOrEqual(limit);
    for (const position of positions) expect(far.remove(hashOf(position), position)).toBe(true);
    named.push(...positions);
    steps += 1;
  }
  return { steps, named };
}

describe('FarTimers', () => {
  it('takes what is due behind the period in which the horizon is, and names it when that one is reached', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const border = far.readyMs;
    expect(border).toBe(Infinity);
    const first = START_MS + HORIZON_MS + HOUR_MS;
    const due = Math.floor(first / HOUR_MS) * HOUR_MS;
    expect(far.take(hashOf(1), 1, due - 1)).toBe(false);
    expect(far.take(hashOf(2), 2, due)).toBe(true);
    expect(far.readyMs).toBe(due);
    expect(approach(far, due - HORIZON_MS - 1).named).toEqual([]);
    expect(far.readyMs).toBe(due);
    expect(approach(far, due - HORIZON_MS).named).toEqual([2]);
    expect(far.size).toBe(0);
  });

  it('names what is due in a period in the order of the journal, in small steps, however much it is', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const count = 30_000;
    for (let i = 1; i <= count; i++) {
      const position = ((i * 7919) % count) * 300 + 1;
      far.take(hashOf(position), position, START_MS + 5 * HOUR_MS + i);
      far.take(hashOf(position + 100), position + 100, START_MS + 20 * HOUR_MS);
    }
    const { steps, named } = approach(far, START_MS + 4 * HOUR_MS);
    expect(named).toHaveLength(count);
    expect(named).toEqual([...named].sort((a, b) => a - b));
    expect(steps).toBeGreaterThan(count / 100);
    expect(far.size).toBe(count);
  });

  it('looks at what is due much later every 64 periods, and names it in time', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const due = START_MS + 20 * 24 * HOUR_MS;
    far.take(hashOf(1), 1, due);
    const looks: number[] = [];
    for (let now = START_MS; far.size > 0; now += HOUR_MS) {
      if (approach(far, now).named.length === 0) continue;
      looks.push(now);
      far.take(hashOf(1), 1, due);
    }
    expect(looks).toHaveLength(Math.ceil((20 * 24) / 64));
    expect(due - looks.at(-1)!).toBeLessThanOrEqual(HORIZON_MS);
    expect(due - looks.at(-1)!).toBeGreaterThan(HORIZON_MS / 2);
  });

  it('says when the first of those that stay is due, also of those that share a code with what has come near', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const [soon, late] = [START_MS + 5 * HOUR_MS, START_MS + (5 + 64) * HOUR_MS];
    far.take(hashOf(1), 1, soon);
    far.take(hashOf(2), 2, late);
    expect(far.earliest()).toBe(soon);
    for (let now = START_MS + 4 * HOUR_MS, left = 2; left > 0;) {
      for (const position of far.approaching(now, 1) ?? []) {
        expect(far.earliest()).toBe(soon);
        far.remove(hashOf(position), position);
        if (position === 2) far.take(hashOf(2), 2, late);
        left -= 1;
      }
    }
    approach(far, START_MS + 4 * HOUR_MS);
    expect([far.size, far.earliest(), far.pastDue(late - 1)]).toEqual([1, late, 0]);
  });

  it('counts as past due what could not be read until its time had passed', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const due = START_MS + 5 * HOUR_MS;
    far.take(hashOf(1), 1, due);
    for (let now = START_MS; now < due + HOUR_MS; now += 60_000)
      for (let named = far.approaching(now, 1); named; named = far.approaching(now, 1))
        if (named.length > 0) far.cannotBeRead(now);
    expect([far.earliest(), far.pastDue(due - 1), far.pastDue(due)]).toEqual([due, 0, 1]);
  });

  it('takes some 10 bytes for each of a million, and less of more', () => {
    const far = new FarTimers(START_MS, HORIZON_MS);
    const before = process.memoryUsage().arrayBuffers;
    const count = 1_000_000;
    for (let position = 1; position <= count; position++)
      far.take(hashOf(position), position * 80, START_MS + 24 * HOUR_MS + position);
    expect((process.memoryUsage().arrayBuffers - before) / count).toBeLessThan(11);
  });
});
