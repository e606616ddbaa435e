import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { OffsetIndex } from './offset-index.js';

const GIB = 2 ** 30;
const PAGE = 4096;

describe('OffsetIndex', () => {
  it('knows where every message is, however far apart they are and whatever is lost', () => {
    // Steps between neighbours: mostly small, some beyond what a page of 4-byte distances reaches.
    const step = fc.oneof(
      { weight: 60, arbitrary: fc.integer({ min: 1, max: 100_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: GIB, max: 8 * GIB }) },
      { weight: 1, arbitrary: fc.constant('hole' as const) },
    );
    const run = fc.record({
      start: fc.integer({ min: 0, max: 3 * PAGE }),
      first: fc.integer({ min: 32, max: 2 ** 50 }),
      steps: fc.array(step, { minLength: 1, maxLength: 300 }),
      repeated: fc.integer({ min: 1, max: 60 }),
    });
    fc.assert(
      fc.property(run, ({ start, first, steps, repeated }) => {
        const index = new OffsetIndex(start);
        const expected: number[] = [];
        let position = first;
        for (let round = 0; round < repeated; round++) {
          for (const each of steps) {
            if (each === 'hole') {
              index.pushHole();
              expected.push(-Math.abs(expected.at(-1) ?? 1));
            } else {
              position += each;
              index.push(position);
              expected.push(position);
            }
          }
        }
        expect(index.end).toBe(start + expected.length);
        expect(expected.map((_, i) => index.get(start + i))).toEqual(expected);
        const middle = expected[expected.length >> 1]!;
        const found = index.firstAtOrBehind(Math.abs(middle), start) - start;
        expect(found).toBe(expected.findIndex((each) => Math.abs(each) >= Math.abs(middle)));
      }),
      { numRuns: 60 },
    );
  });

  it('keeps what lies behind the page in which the start is', () => {
    const index = new OffsetIndex();
    for (let offset = 0; offset < 3 * PAGE; offset++) index.push(1_000 + offset * 10);
    index.dropBefore(2 * PAGE + 5);
    expect(index.get(PAGE)).toBe(-1);
    expect(index.get(2 * PAGE + 5)).toBe(1_000 + (2 * PAGE + 5) * 10);
    expect(index.push(9_999_999)).toBe(3 * PAGE);
    expect(index.get(3 * PAGE)).toBe(9_999_999);
  });
});
