import { describe, expect, it } from '@jest/globals';
import { FAULT_NAMES } from './faults.js';
import { merged, pageOf, type MatrixRecord } from './matrix-page.js';
import { ALL_CELLS } from './run-matrix.js';
import { STEPS } from './steps.js';

const cell = (step: string, result: 'held' | 'broken', commit = 'aaa'): MatrixRecord['cells'][number] => ({
  ...{ step, fault: 'reset' as const, result, commit, at: '2026-11-26' },
  violations: result === 'broken' ? ['lost-order: 1'] : [],
});

describe('the crash matrix', () => {
  it('has a cell for every fault at every step, each step once', () => {
    expect(new Set(STEPS.map(({ name }) => name)).size).toBe(STEPS.length);
    expect(ALL_CELLS).toHaveLength(STEPS.length * FAULT_NAMES.length);
  });

  it('keeps what earlier runs found, and believes the later one', () => {
    const earlier = { cells: [cell('insert', 'broken'), cell('refund', 'held')] };
    const later = { cells: [cell('insert', 'held', 'bbb'), cell('reserve', 'held', 'bbb')] };
    expect(merged(earlier, later).cells.map(({ step, commit }) => [step, commit])).toEqual([
      ['reserve', 'bbb'],
      ['insert', 'bbb'],
      ['refund', 'aaa'],
    ]);
  });

  it('is a page that says what is broken and what was not run', () => {
    const page = pageOf({ cells: [cell('insert', 'broken'), cell('refund', 'held')] });
    expect(page).toContain('1 held, 1 broken, 0 not reached');
    expect(page).toContain('- insert, reset: lost-order: 1');
    expect(page).toMatch(/\| reserve \|.*\| – \|/);
  });
});
