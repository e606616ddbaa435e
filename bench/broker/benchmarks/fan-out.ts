import { repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { FanOutJob, FanOutResult } from '../workers/fan-out.js';

export const fanOut: Benchmark = {
  name: 'fan-out',
  title: 'Fan-out of one topic to 10 groups, in process, every delivery acknowledged',
  run: (bench) =>
    repeat(
      bench,
      'fan-out',
      {
        deliveriesPerSecond: {
          variant: '256 B, handlers that take batches',
          unit: 'deliveries/s',
          better: 'higher',
          target: 500_000,
        },
        readFromFilesMb: {
          variant: 'read back from files meanwhile',
          unit: 'MB',
          better: 'lower',
          target: 1,
        },
      },
      () =>
        inTemporaryDir((dir) => {
          const job: FanOutJob = {
            dir,
            messages: bench.options.sizes.fanOutMessages,
            groups: 10,
            bytes: 256,
          };
          return new WorkerProcess<FanOutResult>('fan-out', job).result;
        }),
    ),
};
