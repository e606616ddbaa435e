import { describe, expect, it } from '@jest/globals';
import { RecentMap } from './recent-map.js';

describe('RecentMap', () => {
  it('remembers the newest keys up to its bound, and at most twice as many', () => {
    const map = new RecentMap<number, string>(100);
    for (let key = 0; key < 1_000; key++) {
      map.set(key, `${key}`);
      const remembered = map.newest(Infinity).map(([each]) => each);
      expect(remembered.length).toBeLessThan(200);
      expect(remembered).toEqual(Array.from(remembered, (_, i) => key - remembered.length + 1 + i));
      expect(remembered.length).toBeGreaterThanOrEqual(Math.min(key + 1, 100));
    }
    expect(map.get(999)).toBe('999');
    expect(map.newest(2)).toEqual([
      [998, '998'],
      [999, '999'],
    ]);
  });

  it('takes a repeated key for a new one, and forgets what is deleted', () => {
    const map = new RecentMap<string, number>(2);
    for (const [key, value] of Object.entries({ a: 1, b: 2 })) map.set(key, value);
    map.set('a', 3);
    expect(map.newest(9)).toEqual([
      ['b', 2],
      ['a', 3],
    ]);
    map.delete('a');
    map.delete('b');
    expect(map.get('a')).toBeUndefined();
    expect(map.newest(9)).toEqual([]);
  });
});
