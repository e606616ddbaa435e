import { repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { TraceJob, TraceResult } from '../workers/trace.js';

const figure = { unit: '%', better: 'lower', target: 5 } as const;

export const trace: Benchmark = {
  name: 'trace',
  title:
    'What the trace costs in CPU: with and without it in turns, in process, where little else is to be paid',
  run: (bench) =>
    repeat(
      bench,
      'trace',
      {
        sendPercent: { ...figure, variant: 'sends, 256 B' },
        consumePercent: { ...figure, variant: 'deliveries with acknowledgement, 256 B' },
        noisePercent: { unit: '%', better: 'lower', variant: 'two brokers without it, apart by' },
      },
      () =>
        inTemporaryDir((dir) => {
          const { traceRounds, traceMessages } = bench.options.sizes;
          const job: TraceJob = { dir, bytes: 256, rounds: traceRounds, messages: traceMessages };
          return new WorkerProcess<TraceResult>('trace', job).result;
        }),
    ),
};
