import { format, repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { DelayedJob, DelayedResult } from '../workers/delayed-messages.js';
import type { PendingJob, PendingResult } from '../workers/pending-timers.js';
import type { WheelJob, WheelResult } from '../workers/timing-wheel.js';

const nanoseconds = { unit: 'ns CPU', better: 'lower' } as const;

export const timers: Benchmark = {
  name: 'timers',
  title: 'Delayed messages: a million timers at once',
  run: async (bench) => {
    const {
      timers: count,
      timerSpreadSeconds: spreadSeconds,
      timerHerd,
      pendingTimers,
    } = bench.options.sizes;
    const wheelRows = await repeat(
      bench,
      'timers',
      {
        wheelInsertNs: { ...nanoseconds, variant: 'insert, in the wheel', target: 100 },
        wheelExpiryNs: { ...nanoseconds, variant: 'expiry, in the wheel', target: 350 },
        storeInsertNs: { ...nanoseconds, variant: 'insert, with position and handle' },
        storeExpiryNs: { ...nanoseconds, variant: 'expiry, with position and handle' },
        storeBytes: { variant: 'memory per timer, all of it', unit: 'B', better: 'lower', target: 32 },
      },
      () =>
        new WorkerProcess<WheelResult>('timing-wheel', { timers: count } satisfies WheelJob, ['--expose-gc'])
          .result,
    );
    const messageRows = await repeat(
      bench,
      'timers',
      {
        latenessP99Ms: {
          variant: `${format(count)} due over ${spreadSeconds} s: lateness of the handler, p99`,
          unit: 'ms',
          better: 'lower',
          target: 5,
        },
        insertedPerSecond: {
          variant: 'delayed sends, in process, durable',
          unit: 'messages/s',
          better: 'higher',
        },
      },
      () => delayed({ timers: count, spreadSeconds }),
    );
    const herdRows = await repeat(
      bench,
      'timers',
      {
        deliveredPerSecond: {
          variant: `${format(timerHerd)} due in the same second: delivered until the last one has come`,
          unit: 'messages/s',
          better: 'higher',
        },
      },
      () => delayed({ timers: timerHerd, spreadSeconds: 1 }),
    );
    const memoryRows = await repeat(
      { ...bench, options: { ...bench.options, runs: 1 } },
      'timers',
      {
        rssMb: {
          variant: `RSS with ${format(pendingTimers)} pending`,
          unit: 'MB',
          better: 'lower',
          target: 200,
        },
        reopenSeconds: {
          variant: `opening ${format(pendingTimers)} pending`,
          unit: 's',
          better: 'lower',
          target: 5,
        },
      },
      () =>
        inTemporaryDir((dir) => {
          const job: PendingJob = { dir, timers: pendingTimers };
          return new WorkerProcess<PendingResult>('pending-timers', job, []).result;
        }),
    );
    return [...wheelRows, ...messageRows, ...herdRows, ...memoryRows];
  },
};

/** In a process with Node's own settings, as the broker has them. */
function delayed(job: Omit<DelayedJob, 'dir'>): Promise<DelayedResult> {
  return inTemporaryDir(
    (dir) => new WorkerProcess<DelayedResult>('delayed-messages', { dir, ...job }, []).result,
  );
}
