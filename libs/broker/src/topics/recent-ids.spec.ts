import { describe, expect, it } from '@jest/globals';
import { RecentIds } from './recent-ids.js';

const WINDOW_MS = 1_000;
const remembers = (ids: RecentIds, id: number): boolean => ids.candidates(id)?.includes(id + 1) ?? false;

describe('RecentIds', () => {
  it('remembers an id for one to two windows', () => {
    const ids = new RecentIds(WINDOW_MS, 1_000_000, 0);
    ids.start(0);
    ids.add(7, 8, 900);
    ids.add(1, 2, 1_000);
    expect(remembers(ids, 7)).toBe(true);
    ids.add(2, 3, 2_000);
    expect(remembers(ids, 7)).toBe(false);
    expect(remembers(ids, 1)).toBe(true);
  });

  it('forgets none of those that came while its tables grew', () => {
    const ids = new RecentIds(WINDOW_MS, 1_000_000, 0);
    ids.start(0);
    for (let id = 0; id < 5_000; id++) ids.add(id * 7_919, id * 7_919 + 1, 0);
    for (let id = 0; id < 5_000; id++) expect(remembers(ids, id * 7_919)).toBe(true);
  });

  it('remembers a bounded number of ids, whose tables are used again', () => {
    const ids = new RecentIds(WINDOW_MS, 1_000, 0);
    ids.start(0);
    for (let id = 0; id < 10_000; id++) {
      ids.add(id, id + 1, 0);
      expect(remembers(ids, id)).toBe(true);
      expect(remembers(ids, Math.max(0, id - 499))).toBe(true);
      expect(id >= 1_000 && remembers(ids, id - 1_000)).toBe(false);
    }
  });

  it.each([10, 4_000, 5_000])('keeps the newest of %i at a start, as far as its bound reaches', (count) => {
    const ids = new RecentIds(WINDOW_MS, 4_000, 0);
    for (let id = 0; id < count; id++) ids.add(id, id + 1, 0);
    ids.start(0);
    const found = Array.from({ length: count }, (_, id) => id).filter((id) => remembers(ids, id));
    expect(found).toEqual(Array.from({ length: Math.min(count, 4_000) }, (_, i) => i + count - found.length));
    ids.add(count, count + 1, WINDOW_MS);
    expect(remembers(ids, count - 1)).toBe(true);
  });
});
