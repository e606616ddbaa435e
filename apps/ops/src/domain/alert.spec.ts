import { describe, expect, it } from '@jest/globals';
import { decideAlerts } from './alert.js';

const load = (group: string, deadLetters: number, handled = 0) => ({ group, deadLetters, handled });

describe('dead letter alerts', () => {
  it('fire for each group at or over the count', () => {
    const { firing } = decideAlerts([load('a', 3), load('b', 2), load('c', 9)], [], {
      count: 3,
      ratio: undefined,
    });
    expect(firing).toEqual([
      { name: 'dead-letters:a', count: 3, threshold: 3, detail: 'a has 3 dead letters (threshold 3)' },
      { name: 'dead-letters:c', count: 9, threshold: 3, detail: 'c has 9 dead letters (threshold 3)' },
    ]);
  });

  it('fire below the count when the share of dead letters is too high', () => {
    const thresholds = { count: 100, ratio: 0.05 };
    expect(decideAlerts([load('a', 5, 95)], [], thresholds).firing).toHaveLength(1);
    expect(decideAlerts([load('a', 4, 96)], [], thresholds).firing).toHaveLength(0);
  });

  it('never fire for a group without dead letters', () => {
    expect(decideAlerts([load('a', 0, 0)], [], { count: 1, ratio: 0.000_001 }).firing).toEqual([]);
  });

  it('are resolved when the group is back under, also when it has none left to be listed', () => {
    const firing = ['dead-letters:a', 'dead-letters:b', 'dead-letters:gone'];
    const { resolved } = decideAlerts([load('a', 3), load('b', 2)], firing, { count: 3, ratio: undefined });
    expect(resolved).toEqual(['dead-letters:b', 'dead-letters:gone']);
  });

  it('leave alerts about other things alone', () => {
    expect(decideAlerts([], ['disk-full'], { count: 1, ratio: undefined }).resolved).toEqual([]);
  });
});
