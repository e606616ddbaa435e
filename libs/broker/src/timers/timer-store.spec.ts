import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HORIZON_MS } from './far-timers.js';
import { MAX_TIMERS, TimerStore } from './timer-store.js';

const START_MS = 1_700_000_000_000;
/** So near that most timers are beyond it. */
const NARROW_MS = 40;

/** What a broker does with the records that come within the horizon: here the time is known by position. */
function bringNear(store: TimerStore, now: number, dueOf: (position: number) => [number, number]): void {
  for (let positions = store.approaching(now, 3); positions; positions = store.approaching(now, 3))
    for (const position of positions) store.approached(dueOf(position)[0], position, dueOf(position)[1]);
}

describe('TimerStore', () => {
  it('has room for so many and no more', () => {
    const store = new TimerStore(START_MS);
    expect(() => store.checkRoom(MAX_TIMERS)).not.toThrow();
    store.set(1, 1, START_MS);
    expect(() => store.checkRoom(MAX_TIMERS)).toThrow('BUFFER_FULL');
    expect(() => store.checkRoom(MAX_TIMERS - 1)).not.toThrow();
  });

  it('finds exactly the pending timers by their hash, however many were set and removed before', () => {
    // Few hashes, so that many share one; enough timers for the table to grow more than a round.
    const commands = fc.array(fc.record({ hash: fc.nat(40), removes: fc.boolean(), times: fc.nat(400) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(
        commands,
        fc.boolean(),
        fc.constantFrom(HORIZON_MS, NARROW_MS),
        (steps, isStarted, horizonMs) => {
          const store = new TimerStore(START_MS, horizonMs);
          if (isStarted) store.start(START_MS);
          const pending = new Map<number, Set<number>>();
          let position = 0;
          for (const { hash, removes, times } of steps) {
            const spread = Math.imul(hash, 0x9e3779b1) >>> 0;
            const known = pending.get(spread) ?? new Set();
            pending.set(spread, known);
            for (let i = 0; i < times; i++) {
              const [oldest] = known;
              if (removes && oldest !== undefined) {
                expect(store.remove(spread, oldest)).toBe(true);
                expect(store.remove(spread, oldest)).toBe(false);
                known.delete(oldest);
              } else {
                position += 1;
                store.set(spread, position, START_MS + position);
                known.add(position);
              }
            }
          }
          for (const [hash, known] of pending) expect(new Set(store.candidates(hash))).toEqual(known);
          expect(store.size).toBe([...pending.values()].reduce((sum, { size }) => sum + size, 0));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives out what is due by time, then in the order in which it was set', () => {
    const store = new TimerStore(START_MS);
    store.start(START_MS);
    const count = 5_000;
    for (let i = 1; i <= count; i++) store.set(i, i, START_MS + 1 + ((i * 7919) % 50));
    const batch = store.takeDue(START_MS + 100, count);
    const expected = [...batch].sort((a, b) => a.dueAtMs - b.dueAtMs || a.position - b.position);
    expect(batch).toHaveLength(count);
    expect(batch).toEqual(expected);
  });

  it('uses the places of fired timers again', () => {
    const store = new TimerStore(START_MS);
    store.start(START_MS);
    for (let round = 0; round < 5; round++) {
      const now = START_MS + round * 1_000;
      for (let i = 1; i <= 100; i++) store.set(i, round * 100 + i, now + 500);
      const due = store.takeDue(now + 500, 1_000);
      expect(due).toHaveLength(100);
      for (const { hash, position } of due) expect(store.remove(hash, position)).toBe(true);
      store.release(now + 500);
      expect(store.size).toBe(0);
      expect(store.earliestDue()).toBeUndefined();
    }
  });

  it.each([50, 500, 5_000])(
    'gives out what is set after the clock went back by %p ms, 100 ms late at most',
    (backMs) => {
      const store = new TimerStore(START_MS);
      store.start(START_MS);
      store.takeDue(START_MS + 10_000, 1);
      const now = START_MS + 10_000 - backMs;
      store.set(1, 1, now + 10);
      expect(store.takeDue(now + 9, 1)).toEqual([]);
      expect(store.takeDue(now + 111, 1)).toHaveLength(1);
    },
  );

  it('gives out each timer once and never early, however the clock jumps, however few are taken at a time, and whether or not they can be fired', () => {
    // Some of them of one millisecond.
    const dueInMs = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.constantFrom(1, 300, 5_000));
    const jumpMs = fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 10 ** 9 }));
    const step = fc.oneof(
      fc.record({ set: fc.array(dueInMs, { maxLength: 20 }) }),
      fc.record({ pass: jumpMs }),
      fc.record({ back: jumpMs }),
      fc.record({ take: fc.integer({ min: 1, max: 5 }), fires: fc.boolean() }),
      fc.record({ recall: fc.nat(20) }),
    );
    const horizonMs = fc.constantFrom(HORIZON_MS, NARROW_MS, 10_000);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(30), horizonMs, (steps, setBefore, horizon) => {
        const store = new TimerStore(START_MS, horizon);
        const pending = new Map<number, number>();
        let [now, latest, position] = [START_MS, START_MS, 0];
        const set = (dueAtMs: number): void => {
          position += 1;
          store.set(position % 7, position, dueAtMs);
          pending.set(position, dueAtMs);
        };
        const take = (limit: number, fires: boolean): void => {
          bringNear(store, now, (taken) => [taken % 7, pending.get(taken)!]);
          const due = store.takeDue(now, limit);
          expect(due.length).toBeLessThanOrEqual(limit);
          for (const { hash, position: taken, dueAtMs } of due) {
            expect(pending.get(taken)).toBe(dueAtMs);
            // Due by the clock now, or before it was set back.
            expect(dueAtMs).toBeLessThanOrEqual(latest);
            if (!fires) continue;
            expect(store.remove(hash, taken)).toBe(true);
            pending.delete(taken);
          }
          expect(new Set(due.map(({ position: taken }) => taken)).size).toBe(due.length);
          store.release(now);
        };
        // Due while the broker was down, some of them.
        for (let i = 0; i < setBefore; i++) set(START_MS + (i - 15) * 10_000);
        store.start(now);
        for (const command of steps) {
          if ('set' in command) for (const ms of command.set) set(now + ms);
          else if ('take' in command) take(command.take, command.fires);
          else if ('recall' in command) {
            const recalled = [...pending.keys()][command.recall];
            if (recalled !== undefined) expect(store.remove(recalled % 7, recalled)).toBe(true);
            pending.delete(recalled ?? 0);
          } else now += 'pass' in command ? command.pass : -command.back;
          latest = Math.max(latest, now);
          expect(store.size).toBe(pending.size);
          const earliest = pending.size === 0 ? undefined : Math.min(...pending.values());
          if (horizon === HORIZON_MS) expect(store.earliestDue()).toBe(earliest);
          else expect(store.earliestDue() ?? Infinity).toBeLessThanOrEqual(earliest ?? Infinity);
          expect(store.earliestDue() === undefined).toBe(earliest === undefined);
          const lowest = Math.min(...pending.keys());
          expect(store.lowestPosition()).toBeLessThanOrEqual(lowest);
        }
        expect(new Set(store.before(position + 1))).toEqual(
          new Set([...pending.keys()].map((at) => ({ hash: at % 7, position: at }))),
        );
        // Long enough also for what could not be fired.
        now = Math.max(latest, ...pending.values()) + 20_000;
        latest = now;
        for (let rounds = 0; pending.size > 0 && rounds < 2_000; rounds++) take(5, true);
        expect(pending.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('gives out a flood in the order of its times, and first come first served within a millisecond', () => {
    const store = new TimerStore(START_MS);
    for (let i = 1; i <= 3_000; i++) store.set(i, i, START_MS - 1_000_000 + (i % 3) * 1_000);
    store.start(START_MS);
    const order: number[] = [];
    for (let due = store.takeDue(START_MS, 100); due.length > 0; due = store.takeDue(START_MS, 100)) {
      for (const { hash, position } of due) {
        order.push(position);
        store.remove(hash, position);
      }
      store.release(START_MS);
      expect(store.pastDue(START_MS)).toBe(3_000 - order.length);
    }
    expect(order).toHaveLength(3_000);
    expect(order).toEqual([...order].sort((a, b) => (a % 3) - (b % 3) || a - b));
  });

  it('keeps no more places than are needed when timers that are due much later are recalled', () => {
    const store = new TimerStore(START_MS);
    store.start(START_MS);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 1; i <= 400_000; i++) {
      store.set(i, i, START_MS + 10 ** 9);
      store.remove(i, i);
    }
    expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(7);
    expect(store.size).toBe(0);
  });
});
