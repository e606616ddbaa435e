import { describe, expect, it } from '@jest/globals';
import { PriorityLookahead } from './priority-lookahead.js';

describe('PriorityLookahead', () => {
  it('by weight, prefers high priorities and starves none: each level gets turns, in order', () => {
    const lookahead = new PriorityLookahead();
    for (let offset = 0; offset < 200; offset++) lookahead.add(offset, offset % 2 === 0 ? 0 : 9);
    const first = Array.from({ length: 110 }, () => lookahead.take('weighted')!);
    const low = first.filter((offset) => offset % 2 === 0);
    expect(low.length).toBe(10);
    expect(low).toEqual([...low].sort((a, b) => a - b));
    while (lookahead.size > 0) first.push(lookahead.take('weighted')!);
    expect(new Set(first).size).toBe(200);
    expect(lookahead.take('weighted')).toBeUndefined();
  });

  it('gives the highest first when it is to be strict, each level in order', () => {
    const lookahead = new PriorityLookahead();
    for (const [offset, priority] of [4, 0, 9, 4, 9].entries()) lookahead.add(offset, priority);
    expect(lookahead.top).toBe(9);
    expect(Array.from({ length: 5 }, () => lookahead.take('strict'))).toEqual([2, 4, 0, 3, 1]);
    expect(lookahead.top).toBe(-1);
  });
});
