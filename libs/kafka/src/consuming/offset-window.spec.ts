import { describe, expect, it } from '@jest/globals';
import { OffsetWindow, lagOf, readNote } from './offset-window.js';

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

function reading(window: OffsetWindow, from: number, to: number): number[] {
  const taken = range(from, to).filter((offset) => window.take(offset));
  window.readTo(from, to, new Set(range(from, to)));
  return taken;
}

describe('OffsetWindow', () => {
  it('commits the lowest unfinished offset, and notes what is open behind it, as its example says', () => {
    const window = new OffsetWindow(5);
    reading(window, 5, 13);
    for (const offset of [6, 7, 8]) window.finish(offset);
    expect(window.committed).toBe(5);
    expect(readNote(window.note(5))).toMatchObject({ next: 13, open: '5,9-12', inFlight: 5 });
    window.finish(5);
    expect(window.committed).toBe(9);
    for (const offset of range(9, 13)) window.finish(offset);
    expect(window.committed).toBe(13);
  });

  it('begins anew with what was open alone', () => {
    const window = new OffsetWindow(5, { next: 13, open: '5,9-12', acked: 3 });
    expect(window.committed).toBe(5);
    expect(reading(window, 5, 15)).toEqual([5, 9, 10, 11, 12, 13, 14]);
    expect(window.size).toBe(7);
  });

  it('does not wait for an open offset that holds no message any more', () => {
    const window = new OffsetWindow(5, { next: 8, open: '5-7' });
    window.take(6);
    window.readTo(5, 8, new Set([6]));
    expect(window.committed).toBe(6);
    window.finish(6);
    expect(window.committed).toBe(8);
  });

  it('leaves a note out that Kafka would refuse, and knows the place still', () => {
    const window = new OffsetWindow(0);
    reading(window, 0, 20_000);
    for (const offset of range(1, 20_000)) if (offset % 2 === 0) window.finish(offset);
    const note = window.note(3);
    expect(note.length).toBeLessThan(4_096);
    expect(readNote(note)).toEqual({ inFlight: 3, acked: 0 });
    expect(window.committed).toBe(0);
    expect(lagOf({ offset: 0, note }, 20_000)).toBe(20_000);
  });

  it('counts as lag what is open and what was not read', () => {
    const window = new OffsetWindow(0);
    reading(window, 0, 10);
    for (const offset of [1, 2, 3]) window.finish(offset);
    expect(lagOf({ offset: 0, note: window.note(0) }, 12)).toBe(9);
    expect(lagOf({ offset: 4, note: 'of another client' }, 12)).toBe(8);
    expect(lagOf({ offset: 4, note: '' }, 12)).toBe(8);
  });
});
