import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { recover } from '../journal/recovery.js';
import { Segments } from '../journal/segments.js';
import { BrokerSandbox, EngineClient, ManualClock, message, settled } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { resolveOptions } from './options.js';
import { takeSnapshot } from './snapshot.js';
import { BrokerState } from './state.js';

/** `SNAPSHOT_RUNS=500` for a long run. */
const RUNS = Number(process.env['SNAPSHOT_RUNS'] ?? 15);
const SEGMENT_BYTES = 64 * 1024;

const STEPS = ['send', 'delay', 'recall', 'commit', 'rollback', 'leave open', 'ask', 'register'] as const;
const SETTLEMENTS = ['ack', 'retry', 'bury', 'redrive', 'pass', 'restart'] as const;
type Step = { do: (typeof STEPS)[number] | (typeof SETTLEMENTS)[number]; which: number };
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...STEPS, ...SETTLEMENTS),
  which: fc.nat(20),
});

/** Does the steps with a broker of tiny segments; resolves to its files. */
async function history(
  sandbox: BrokerSandbox,
  clock: ManualClock,
  order: 'unordered' | 'by-key',
  steps: readonly Step[],
): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  let broker = await sandbox.open({ files });
  let client = new EngineClient(broker);
  const begin = async (): Promise<void> => {
    client = new EngineClient(broker);
    await client.attach({ order, leaseMs: 1_000_000, maxInFlightMessages: 8 });
    await client.session.registerProducer('p');
  };
  await begin();
  let sent = 0;
  const handles: string[] = [];
  const next = (which: number, delayMs = 0) => {
    const id = `m${sent++}`;
    if (delayMs > 0) handles.push(id);
    const text = 'x'.repeat(1_000 + which * 500);
    return message(text, {
      id,
      key: `k${which % 3}`,
      ...(delayMs > 0 && { deliverAtMs: clock.now() + delayMs }),
    });
  };
  for (const { do: what, which } of steps) {
    const { session, delivered } = client;
    const delivery = delivered[which % Math.max(1, delivered.length)];
    if (what === 'send') await session.append([next(which), next(which + 1)]);
    else if (what === 'delay') await session.append([next(which, which < 10 ? 50 : 1_000_000)]);
    else if (what === 'recall') await session.recall(handles[which % handles.length] ?? 'none');
    else if (what === 'register')
      await session.openProducer({ name: `n${which % 3}`, owner: 'o', renew: false });
    else if (what === 'redrive') {
      const letters = (await session.admin({ method: 'deadLetters', args: ['g'] })) as { id: string }[];
      if (letters[0]) await session.admin({ method: 'redrive', args: ['g', letters[0].id] });
    } else if (what === 'pass' || what === 'ask') {
      clock.advance(what === 'ask' ? 31_000 : 60);
      broker.tick();
      await settled(3);
      for (const check of client.checks.splice(0)) await session.decide(check.transactionId, 'unknown');
    } else if (what === 'restart') {
      broker = await sandbox.reopen({ files });
      await begin();
    } else if (what === 'ack' || what === 'retry' || what === 'bury') {
      if (!delivery) continue;
      delivered.splice(delivered.indexOf(delivery), 1);
      const { deliveryId } = delivery;
      const how = {
        ack: { deliveryId, verdict: 'ack' },
        retry: { deliveryId, verdict: 'retry', delayMs: which * 10, error: 'again' },
        bury: { deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' },
      } as const;
      await session.settle([how[what]]);
    } else {
      const id = await session.prepare('p', [next(which)]);
      if (what !== 'leave open') await session.decide(id, what);
    }
    await settled(1);
  }
  await broker.close();
  return files.kill();
}

/** The state after the journal's entries from its `first`-th segment on. */
async function stateFrom(files: MemoryFiles, dir: string, clock: ManualClock, first: number) {
  const segments = await Segments.list(files, `${dir}/journal`);
  segments.all.splice(0, first);
  const nothing = (): void => undefined;
  const options = { ...resolveOptions({ dir }), now: () => clock.now(), wake: nothing, touched: nothing };
  const state = new BrokerState(options);
  const onEntry = state.replay.bind(state);
  await recover({ files, segments, durableBefore: 0, onDamage: 'refuse', readOnly: true, onEntry });
  return { state, base: segments.all[0]!.base, segments: segments.all.length };
}

/** Without what is held back: its message is not settled, which keeps the segment of the message and all behind it. */
function comparable(state: BrokerState): unknown {
  const { groups, ...rest } = takeSnapshot(state);
  const cursorsOf = ({ cursors }: (typeof groups)[number]) =>
    cursors.map(({ heldBack: _, ...place }) => place);
  return { ...rest, groups: groups.map((group) => ({ ...group, cursors: cursorsOf(group) })) };
}

describe.each(['unordered', 'by-key'] as const)('the snapshot of a segment, group %s', (order) => {
  it(
    'says all that the segments before it say of what is not in them',
    async () => {
      let compared = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 90 }), async (steps) => {
          const clock = new ManualClock();
          const sandbox = await BrokerSandbox.make({ clock, segmentBytes: SEGMENT_BYTES, traceSteps: 0 });
          try {
            const files = await history(sandbox, clock, order, steps);
            const whole = await stateFrom(files, sandbox.dir, clock, 0);
            for (let first = 1; first < whole.segments; first++) {
              const { state, base } = await stateFrom(files, sandbox.dir, clock, first);
              expect(comparable(state)).toEqual(comparable(whole.state));
              compared += 1;
              // What waits in segments before this one keeps them from being dropped.
              const { timers, transactions } = whole.state;
              if (Math.min(timers.lowestPosition(), transactions.lowestPosition()) < base) continue;
              expect(state.timers.size).toBe(timers.size);
              expect(state.transactions.info()).toEqual(transactions.info());
              expect(state.groups.require('g').waitingRetries).toBe(
                whole.state.groups.require('g').waitingRetries,
              );
            }
          } finally {
            await sandbox.cleanUp();
          }
        }),
        { numRuns: RUNS, verbose: 1 },
      );
      expect(compared).toBeGreaterThan(RUNS);
    },
    60_000 + RUNS * 4_000,
  );
});
