import { repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { DelayedJob, DelayedResult } from '../workers/delayed-messages.js';
import type { WheelJob, WheelResult } from '../workers/timing-wheel.js';

const nanoseconds = { unit: 'ns CPU', better: 'lower' } as const;

export const timers: Benchmark = {
  name: 'timers',
  title: 'Delayed messages: a million timers at once',
  run: async (bench) => {
    const { timers: count, timerSpreadSeconds: spreadSeconds } = bench.options.sizes;
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
        latenessP99Ms: { variant: 'lateness of the handler, p99', unit: 'ms', better: 'lower', target: 5 },
        insertedPerSecond: {
          variant: 'delayed sends, in process, durable',
          unit: 'messages/s',
          better: 'higher',
        },
      },
      () =>
        inTemporaryDir((dir) => {
          const job: DelayedJob = { dir, timers: count, spreadSeconds };
          return new WorkerProcess<DelayedResult>('delayed-messages', job).result;
        }),
    );
    return [...wheelRows, ...messageRows];
  },
};
