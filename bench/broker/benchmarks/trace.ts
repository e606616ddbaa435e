import { repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess, workerArgs } from '../worker-process.js';
import type { TraceJob, TraceResult } from '../workers/trace.js';

const figure = { unit: '%', better: 'lower' } as const;
const target = 5;

export const trace: Benchmark = {
  name: 'trace',
  title:
    'What the trace costs in CPU: with and without it in turns, in process, where little else is to be paid',
  run: (bench) =>
    repeat(
      bench,
      'trace',
      {
        send: { ...figure, variant: 'sends, 256 B', target },
        sendAtMost: { ...figure, variant: 'sends, upper end of the 95 % interval', target },
        sendNoise: { ...figure, variant: 'sends, two brokers without it' },
        consume: { ...figure, variant: 'deliveries with acknowledgement, 256 B', target },
        consumeAtMost: { ...figure, variant: 'deliveries, upper end of the 95 % interval', target },
        consumeNoise: { ...figure, variant: 'deliveries, two brokers without it' },
      },
      () =>
        inTemporaryDir(async (dir) => {
          const { traceRounds, traceTurns, traceMessages } = bench.options.sizes;
          const job: TraceJob = {
            dir,
            bytes: 256,
            rounds: traceRounds,
            turns: traceTurns,
            messages: traceMessages,
          };
          const nodeArgs = [...workerArgs('trace'), '--expose-gc'];
          const details = await new WorkerProcess<TraceResult>('trace', job, nodeArgs).result;
          const { send, sendNoise, consume, consumeNoise } = details;
          return {
            send: send.percent,
            sendAtMost: send.highPercent,
            sendNoise: sendNoise.percent,
            consume: consume.percent,
            consumeAtMost: consume.highPercent,
            consumeNoise: consumeNoise.percent,
            details,
          };
        }),
    ),
};
