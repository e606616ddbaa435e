import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TimerStore } from './timer-store.js';

const START_MS = 1_700_000_000_000;

describe('TimerStore', () => {
  it('finds exactly the pending timers by their hash, however many were set and removed before', () => {
    // Few hashes, so that many share one; enough timers for the table to grow more than a round.
    const commands = fc.array(fc.record({ hash: fc.nat(40), removes: fc.boolean(), times: fc.nat(400) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(commands, fc.boolean(), (steps, isStarted) => {
        const store = new TimerStore();
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
      }),
      { numRuns: 50 },
    );
  });

  it('gives out what is due by time, then in the order in which it was set', () => {
    const store = new TimerStore();
    store.start(START_MS);
    const count = 5_000;
    for (let i = 1; i <= count; i++) store.set(i, i, START_MS + 1 + ((i * 7919) % 50));
    const batch = store.takeDue(START_MS + 100, count);
    const expected = [...batch].sort((a, b) => a.dueAtMs - b.dueAtMs || a.position - b.position);
    expect(batch).toHaveLength(count);
    expect(batch).toEqual(expected);
  });

  it('uses the places of fired timers again', () => {
    const store = new TimerStore();
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
});
