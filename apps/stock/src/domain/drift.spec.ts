import { describe, expect, it } from '@jest/globals';
import { driftOf, isDrift, isSameDrift, sizeOf, type Books } from './drift.js';

const books = (redis: Partial<Books['redis']> = {}, sold = 3): Books => ({
  redis: { initial: 10, free: 5, held: 2, sold: 3, holds: { held: 2, sold: 3, charged: 5 }, ...redis },
  ledger: { quantity: 10, sold },
});

describe('drift', () => {
  it('is none when the books agree, or when the holds were too many to look at', () => {
    expect(isDrift(driftOf(books()))).toBe(false);
    expect(isDrift(driftOf(books({ holds: undefined })))).toBe(false);
  });

  it.each<[string, Books, number]>([
    ['sold in Redis but not in the ledger', books({}, 1), 2],
    ['sold in the ledger but not in Redis', books({}, 4), 1],
    ['a ticket too many', books({ free: 6 }), 1],
    ['a counter that its holds do not make', books({ held: 0, free: 7 }), 2],
    ['a limit that was charged wrongly', books({ holds: { held: 2, sold: 3, charged: 9 } }), 4],
  ])('finds %s', (_, wrong, size) => {
    expect(sizeOf(driftOf(wrong))).toBe(size);
  });

  it('is the same only when all of it is', () => {
    const drift = driftOf(books({}, 1));
    expect(isSameDrift(drift, driftOf(books({}, 1)))).toBe(true);
    expect(isSameDrift(drift, driftOf(books({}, 2)))).toBe(false);
    expect(isSameDrift(undefined, drift)).toBe(false);
  });
});
