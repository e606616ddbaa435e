import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MAX_STRAGGLERS, SettledWindow } from './settled-window.js';

/** The plain truth that the window has to agree with. */
const modelOf = (settled: ReadonlySet<number>, from: number, to: number) => {
  let committed = from;
  while (settled.has(committed)) committed += 1;
  const ahead: number[] = [];
  for (let offset = committed; offset < to; offset++) if (settled.has(offset)) ahead.push(offset);
  return { committed, ahead };
};
const expand = (runs: readonly [number, number][]): number[] =>
  runs.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));

describe('what a group has settled of a partition', () => {
  it('agrees with a plain set, whatever is settled in which order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 400 }), fc.nat(50), (offsets, from) => {
        const window = new SettledWindow(from);
        const settled = new Set<number>();
        for (const offset of offsets.map((each) => each + from)) {
          expect(window.settle(offset)).toBe(!settled.has(offset));
          settled.add(offset);
        }
        const { committed, ahead } = modelOf(settled, from, from + 301);
        expect([window.committed, window.ahead, expand(window.runs())]).toEqual([
          committed,
          ahead.length,
          ahead,
        ]);
        const all = Array.from({ length: 301 }, (_, i) => from + i);
        expect(all.filter((each) => window.isSettled(each))).toEqual(all.filter((each) => settled.has(each)));
      }),
    );
  });

  it('goes on beyond the ring past a few that stay behind, and knows them', () => {
    const window = new SettledWindow(5);
    const behind = [5, 6, 70_000, 250_000];
    let hasRoom = true;
    for (let offset = 5; offset < 300_000; offset++) {
      hasRoom &&= window.hasRoomFor(offset);
      if (!behind.includes(offset)) window.settle(offset);
    }
    expect(hasRoom).toBe(true);
    expect(window.committed).toBe(5);
    expect(window.ahead).toBe(300_000 - 5 - behind.length);
    expect(window.runs()).toEqual([
      [7, 69_993],
      [70_001, 179_999],
      [250_001, 49_999],
    ]);
    const restored = new SettledWindow(window.committed);
    for (const [first, count] of window.runs()) for (let i = 0; i < count; i++) restored.settle(first + i);
    expect(restored.runs()).toEqual(window.runs());
    expect(behind.map((offset) => window.isSettled(offset))).toEqual([false, false, false, false]);
    for (const offset of [6, 5, 250_000]) expect(window.settle(offset)).toBe(true);
    expect(window.settle(6)).toBe(false);
    expect([window.committed, window.ahead]).toEqual([70_000, 229_999]);
    window.settle(70_000);
    expect([window.committed, window.ahead, window.runs()]).toEqual([300_000, 0, []]);
  });

  it('stops where too many stay behind, and goes on when one of them is settled', () => {
    const window = new SettledWindow(0);
    const last = 2 * MAX_STRAGGLERS + 65_536;
    let next = 0;
    while (next < last && window.hasRoomFor(next)) {
      if (next % 2 === 1) window.settle(next);
      next += 1;
    }
    expect(next).toBe(last);
    expect(window.hasRoomFor(next + 1)).toBe(false);
    window.settle(0);
    expect(window.hasRoomFor(next + 1)).toBe(true);
  });
});
