import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { check } from './check.js';
import type { Plant } from './planted/plant.js';
import { PLANTED } from './planted/planted-faults.js';
import { parseHistory } from './history.js';
import type { History } from './history.js';
import { type Consumption, SimulatedRun } from './simulated-run.js';
import { VIOLATIONS } from './violation.js';

const key = fc.constantFrom('a', 'b', 'c');
const keys = fc.array(key, { minLength: 2, maxLength: 4 });
type Command = (run: SimulatedRun) => void;

const command: fc.Arbitrary<Command> = fc.oneof(
  fc
    .tuple(
      fc.array(key, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('acknowledged', 'refused', 'torn-before', 'torn-after'),
    )
    .map(
      ([batch, outcome]) =>
        (run: SimulatedRun) =>
          run.send(batch, outcome),
    ),
  fc.nat(50).map((index) => (run: SimulatedRun) => run.resend(index)),
  fc.tuple(key, fc.constantFrom('fired', 'recalled', 'recall-denied', 'recall-unknown', 'torn-before')).map(
    ([one, outcome]) =>
      (run: SimulatedRun) =>
        run.timer(one, outcome),
  ),
  fc
    .tuple(keys, fc.constantFrom('commit', 'rollback', 'committed-unknown', 'undecided', 'checked-commit'))
    .map(
      ([batch, outcome]) =>
        (run: SimulatedRun) =>
          run.transaction(batch, outcome),
    ),
);

const consumption: fc.Arbitrary<Consumption> = fc.record({
  before: fc.array(fc.constantFrom('killed', 'refused', 'ack-lost', 'retry'), {
    maxLength: 3,
  }),
  last: fc.constantFrom('ack', 'ack', 'dead-letter', 'ack-unconfirmed'),
  stale: fc.boolean(),
});

/** Everything that a broker which keeps its promises may do. */
const validHistory: fc.Arbitrary<History> = fc
  .tuple(fc.array(command, { maxLength: 40 }), fc.infiniteStream(consumption))
  .map(([commands, lives]) => {
    const run = new SimulatedRun();
    for (const each of commands) each(run);
    run.consume(() => lives.next().value as Consumption);
    return run.history();
  });

/** One of everything, in order. */
function richHistory(): History {
  const run = new SimulatedRun();
  run.send(['a'], 'acknowledged');
  run.send(['a'], 'acknowledged');
  run.send(['b', 'b', 'c'], 'acknowledged');
  run.send(['c'], 'refused');
  run.timer('a', 'fired');
  run.timer('b', 'recalled');
  run.transaction(['a', 'b', 'c'], 'commit');
  run.transaction(['a', 'b', 'c'], 'rollback');
  run.send(['a'], 'acknowledged');
  const lives: Consumption[] = [
    { before: [], last: 'ack', stale: false },
    { before: ['killed', 'retry'], last: 'ack', stale: false },
    { before: [], last: 'dead-letter', stale: false },
  ];
  let next = 0;
  run.consume(() => lives[next++ % lives.length] as Consumption);
  return run.history();
}

describe('the checker', () => {
  it('accepts every history of a broker that keeps its promises', () => {
    fc.assert(
      fc.property(validHistory, (history) => {
        expect(check(history).violations).toEqual({});
      }),
      { numRuns: 300 },
    );
  });

  it.each(PLANTED)('catches $name', ({ kind, plant }) => {
    const faulty = plant(structuredClone(richHistory()) as Parameters<Plant>[0], () => 0);
    if (faulty === undefined) throw new Error('there was nothing to plant it in');
    const { ok, violations } = check(faulty);
    expect(ok).toBe(false);
    expect(Object.keys(violations)).toContain(kind);
  });

  it('catches each fault wherever it is planted in a valid history', () => {
    fc.assert(
      fc.property(validHistory, fc.constantFrom(...PLANTED), fc.nat(), (history, { kind, plant }, place) => {
        const faulty = plant(structuredClone(history) as Parameters<Plant>[0], (length) => place % length);
        if (faulty === undefined) return;
        expect(Object.keys(check(faulty).violations)).toContain(kind);
      }),
      { numRuns: 600 },
    );
  });

  it('has a planted fault for every kind of violation', () => {
    expect(new Set(PLANTED.map(({ kind }) => kind))).toEqual(new Set(Object.keys(VIOLATIONS)));
  });

  it('counts what at-least-once allows', () => {
    const { counts } = check(richHistory());
    expect(counts.sent).toEqual({ acknowledged: 8, refused: 1, unknown: 0, unknownButStored: 0 });
    expect(counts.transactions).toEqual({ committed: 1, rolledBack: 1, undecided: 0 });
    expect(counts.timers).toMatchObject({ set: 2, fired: 1, recalled: 1 });
    expect(counts.stored).toBe(10);
    expect(counts.groups[0]).toMatchObject({ group: 'any', messages: 10, duplicates: 6, retries: 3 });
    expect(counts.groups.map(({ deadLetters }) => deadLetters)).toEqual([3, 3]);
  });

  it('takes a torn last line for never written, and no other', () => {
    const line = JSON.stringify({ at: 1, kind: 'recall', id: 'x' });
    expect(parseHistory(`${line}\n${line.slice(0, 9)}`)).toHaveLength(1);
    expect(() => parseHistory(`${line.slice(0, 9)}\n${line}\n`)).toThrow();
  });
});
