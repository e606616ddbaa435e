import { describe, expect, it } from '@jest/globals';
import { Trace, stepNumber } from './trace.js';

const [STORED, ACKED] = [stepNumber('stored'), stepNumber('acked')];

describe('the trace', () => {
  it('finds the steps of a message by its id and by where its records are, in their order', () => {
    const trace = new Trace(10);
    trace.addRecord(100, STORED, 1);
    trace.addRecord(200, STORED, 2);
    trace.add('a', 'retried', 3, 'g', 'failed');
    trace.addRecord(300, ACKED, 4, 'g');
    const steps = trace.of(new Set(['a', 'b']), new Map([...[100, 300].map((at) => [at, 'a'] as const)]));
    expect(steps.get('a')).toEqual([
      { step: 'stored', atMs: 1 },
      { step: 'retried', atMs: 3, group: 'g', detail: 'failed' },
      { step: 'acked', atMs: 4, group: 'g' },
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

  it('remembers nothing when it is off', () => {
    const off = new Trace(0);
    off.addRecord(100, STORED, 1);
    off.add('a', 'stored', 1);
    expect(off.of(new Set(['a']), new Map([[100, 'a']])).get('a')).toEqual([]);
  });
});
