import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TimingWheel } from './timing-wheel.js';

describe('TimingWheel', () => {
  it('expires every timer once, never early and at the first advance past its time', () => {
    const delay = fc.oneof(
      fc.integer({ min: 0, max: 600 }),
      fc.integer({ min: 0, max: 200_000 }),
      fc.integer({ min: 0, max: 10 ** 11 }),
    );
    const steps = fc.array(fc.record({ delays: fc.array(delay, { maxLength: 5 }), advance: delay }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 41 }), steps, (start, commands) => {
        const due: number[] = [];
        const wheel = new TimingWheel(start, (timer) => due[timer]!);
        const pending = new Set<number>();
        let now = start;
        for (const { delays, advance } of commands) {
          for (const ms of delays) {
            due.push(now + ms);
            pending.add(due.length - 1);
            wheel.add(due.length - 1);
          }
          now += advance;
          const expired: number[] = [];
          wheel.advance(now, (timer) => expired.push(timer));
          for (const timer of expired) {
            expect(pending.delete(timer)).toBe(true);
            expect(due[timer]).toBeLessThanOrEqual(now);
          }
          // A timer that was due when it was set expires with the next millisecond.
          for (const timer of pending) expect(due[timer]! > now || advance === 0).toBe(true);
          const soonest = wheel.soonest();
          for (const timer of pending) expect(soonest! <= Math.max(due[timer]!, now + 1)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
