import { describe, expect, it } from '@jest/globals';
import { messageIds } from './message-id.js';

describe('message ids', () => {
  it('have the shape of a UUID of version 7 and sort by time', () => {
    let nowMs = 1_795_000_000_000;
    const next = messageIds(() => nowMs);
    const ids = Array.from({ length: 1_000 }, () => {
      nowMs += 7;
      return next();
    });
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([...ids].sort()).toEqual(ids);
    expect(parseInt((ids[0] ?? '').replace('-', '').slice(0, 12), 16)).toBe(1_795_000_000_007);
  });

  it('never repeat and stay in order within one millisecond, when the clock steps back too', () => {
    let nowMs = 1_795_000_000_000;
    const next = messageIds(() => nowMs--);
    const ids = Array.from({ length: 100_000 }, next);
    expect(new Set(ids).size).toBe(100_000);
    expect([...ids].sort()).toEqual(ids);
  });

  it('differ between two processes', () => {
    const [one, two] = [messageIds(() => 1), messageIds(() => 1)];
    expect(one()).not.toBe(two());
  });
});
