import { describe, expect, it } from '@jest/globals';
import { Lanes } from './lanes.js';
import type { Item } from './partition-work.js';

const item = (offset: number, lane?: string): Item => ({ offset, lane, bytes: 1 }) as Item;
const take = (lanes: Lanes): number[] => lanes.take(10, () => true).map(({ offset }) => offset);

describe('Lanes', () => {
  it('gives the first message of each lane, and the next when it is done, as its example says', () => {
    const lanes = new Lanes();
    const [a1, b1, a2, c1] = [item(1, 'a'), item(2, 'b'), item(3, 'a'), item(4, 'c')];
    for (const each of [a1, b1, a2, c1]) lanes.add(each);
    expect(take(lanes)).toEqual([1, 2, 4]);
    lanes.done(b1);
    expect(take(lanes)).toEqual([]);
    lanes.done(a1);
    expect(take(lanes)).toEqual([3]);
  });

  it('keeps a lane behind a message that is delivered again', () => {
    const lanes = new Lanes();
    const [first, second] = [item(1, 'a'), item(2, 'a')];
    lanes.add(first);
    lanes.add(second);
    take(lanes);
    lanes.again(first);
    expect(take(lanes)).toEqual([1]);
    lanes.done(first);
    expect(take(lanes)).toEqual([2]);
  });

  it('gives what has no lane as it comes, and no more than fits', () => {
    const lanes = new Lanes();
    for (const offset of [1, 2, 3]) lanes.add(item(offset));
    expect(lanes.take(2, () => true).map(({ offset }) => offset)).toEqual([1, 2]);
    expect(lanes.take(2, () => false)).toEqual([]);
    expect(take(lanes)).toEqual([3]);
  });
});
