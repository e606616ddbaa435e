import { beforeEach, describe, expect, it } from '@jest/globals';
import { Group } from '../groups/group.js';
import { Topic } from '../topics/topics.js';
import type { Cursor } from './cursor.js';
import { Lanes } from './lanes.js';

let cursor: Cursor;
let lanes: Lanes;

beforeEach(() => {
  const group = new Group(1, 'g', 'shared', 0, () => undefined);
  cursor = group.addCursor(new Topic(1, 't', 1, 'async', 0).partitions[0]!, 0);
  lanes = new Lanes();
});

describe('the lane of a key', () => {
  it('goes on when its first message is done with, whoever else is', () => {
    expect(lanes.enter('t', 'k', cursor, 0)).toBe(true);
    expect(lanes.enter('t', 'k', cursor, 1)).toBe(false);
    expect(lanes.enter('t', 'k', cursor, 2)).toBe(false);
    // It was the first once, and somebody is late to say that it is done with.
    expect(lanes.free('t', 'k', cursor, 7)).toBeUndefined();
    expect(lanes.free('t', 'k', cursor, 1)).toBeUndefined();
    expect(lanes.free('t', 'k', cursor, 0)).toEqual({ cursor, offset: 1 });
    expect(lanes.free('t', 'k', cursor, 1)).toEqual({ cursor, offset: 2 });
    expect(lanes.free('t', 'k', cursor, 2)).toBeUndefined();
    expect(lanes.enter('t', 'k', cursor, 3)).toBe(true);
  });

  it('is of one topic: the same key of another waits for nobody', () => {
    expect(lanes.enter('t', 'k', cursor, 0)).toBe(true);
    expect(lanes.enter('u', 'k', cursor, 0)).toBe(true);
    expect(lanes.enter('t', 'other', cursor, 1)).toBe(true);
  });
});
