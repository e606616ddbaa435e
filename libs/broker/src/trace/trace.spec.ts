import { describe, expect, it } from '@jest/globals';
import { Actor, MAX_ACTORS } from './actors.js';
import { Trace, stepNumber } from './trace.js';

const [STORED, ACKED] = [stepNumber('stored'), stepNumber('acked')];
const consumer = new Actor('g', 'shop', 'node-1');

/** What is known of a message with steps at the position 100. */
const stepsAt100 = (trace: Trace) => trace.of(new Set(['a']), new Map([[100, 'a']])).get('a')!;

describe('the trace', () => {
  it('finds the steps of a message by its id and by where its records are, in their order', () => {
    const trace = new Trace(10);
    trace.addRecord(100, STORED, 1);
    trace.addRecord(200, STORED, 2);
    trace.add('a', 'retried', 3, new Actor('g'), 'failed');
    trace.addRecord(300, ACKED, 4, consumer);
    const steps = trace.of(new Set(['a', 'b']), new Map([...[100, 300].map((at) => [at, 'a'] as const)]));
    expect(steps.get('a')).toEqual([
      { step: 'stored', atMs: 1 },
      { step: 'retried', atMs: 3, group: 'g', detail: 'failed' },
      { step: 'acked', atMs: 4, group: 'g', consumer: 'shop', node: 'node-1' },
    ]);
    expect(steps.get('b')).toEqual([]);
    expect([...trace.recordPositions()]).toEqual([100, 200, 300]);
  });

  it('remembers the newest steps, whichever way they name their message', () => {
    const trace = new Trace(3);
    for (let atMs = 1; atMs <= 5; atMs++) trace.add('named', 'redriven', atMs);
    trace.addRecord(100, STORED, 6);
    trace.addRecord(200, STORED, 7);
    const steps = trace.of(
      new Set(['named', 'a', 'b']),
      new Map([
        [100, 'a'],
        [200, 'b'],
      ]),
    );
    expect([...steps.values()].flat().map(({ atMs }) => atMs)).toEqual([5, 6, 7]);
    expect([...trace.recordPositions()]).toEqual([100, 200]);
  });

  it('names who does a step in a bounded table, and forgets there whom no step names any more', () => {
    const trace = new Trace(8);
    trace.addRecord(100, STORED, 0, consumer);
    for (let atMs = 1; atMs <= 2 * MAX_ACTORS; atMs++)
      trace.addRecord(100, ACKED, atMs, new Actor('g', `client-${atMs}`, 'node-2'));
    trace.addRecord(100, STORED, 10_000, consumer);
    expect(stepsAt100(trace).map((step) => step.consumer)).toEqual([
      ...Array.from({ length: 7 }, (_, i) => `client-${2 * MAX_ACTORS - 6 + i}`),
      'shop',
    ]);
  });

  it('tells nobody rather than somebody else when more do steps than the table takes', () => {
    const trace = new Trace(2 * MAX_ACTORS);
    for (let i = 1; i <= 2 * MAX_ACTORS; i++) trace.addRecord(100, ACKED, i, new Actor('g', `client-${i}`));
    const told = stepsAt100(trace);
    expect(told.slice(0, MAX_ACTORS).every(({ atMs, consumer: by }) => by === `client-${atMs}`)).toBe(true);
    expect(told.slice(MAX_ACTORS)).toEqual(
      Array.from({ length: MAX_ACTORS }, (_, i) => ({ step: 'acked', atMs: MAX_ACTORS + 1 + i })),
    );
  });

  it('remembers nothing when it is off', () => {
    const off = new Trace(0);
    off.addRecord(100, STORED, 1);
    off.add('a', 'stored', 1);
    expect(stepsAt100(off)).toEqual([]);
  });
});
