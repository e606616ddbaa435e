import { describe, expect, it } from '@jest/globals';
import { PriorityLookahead } from './priority-lookahead.js';

describe('PriorityLookahead', () => {
  it('prefers high priorities and starves none: each level gets turns by its weight, in order', () => {
    const lookahead = new PriorityLookahead();
    for (let offset = 0; offset < 200; offset++) lookahead.add(offset, offset % 2 === 0 ? 0 : 9);
    const first = Array.from({ length: 110 }, () => lookahead.take()!);
    const low = first.filter((offset) => offset % 2 === 0);
    expect(low.length).toBe(10);
    expect(low).toEqual([...low].sort((a, b) => a - b));
    while (lookahead.size > 0) first.push(lookahead.take()!);
    expect(new Set(first).size).toBe(200);
    expect(lookahead.take()).toBeUndefined();
  });
});
