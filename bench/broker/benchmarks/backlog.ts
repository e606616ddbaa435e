import { format } from '../benchmark.js';
import type { Bench, Benchmark, Row } from '../benchmark.js';
import { onBroker } from '../benchmark.js';
import type { RunningBroker } from '../contenders/contender.js';
import { stampede } from '../contenders/stampede.js';
import { memoryOf } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { ConsumerJob, ConsumerResult } from '../workers/consumer.js';
import type { FillerJob, FillerResult } from '../workers/filler.js';
import { withQueue } from './send.js';

const BYTES = 256;

export const backlog: Benchmark = {
  name: 'backlog',
  title: 'A backlog of ten million messages: memory, and how fast it is worked off',
  run: async (bench) => {
    const { backlogMessages, backlogConsumed } = bench.options.sizes;
    const full = await consumeRuns(bench, backlogMessages, false);
    const empty = await consumeRuns(bench, backlogConsumed, true);
    const row = { benchmark: 'backlog', contender: 'Stampede broker' } as const;
    const speed = { ...row, unit: 'messages/s', better: 'higher' } as const;
    const ratios = full.speeds.map((value, run) => value / (empty.speeds[run] ?? NaN));
    const runsOf = (values: readonly number[]) => values.map((value) => ({ value }));
    const memory = { ...row, unit: 'MB', better: 'lower', target: 400 } as const;
    return [
      { ...memory, variant: `RSS with ${format(backlogMessages)} messages`, runs: runsOf([full.rssMb]) },
      { ...memory, variant: 'highest RSS, filling and consuming included', runs: runsOf([full.peakRssMb]) },
      { ...speed, variant: 'consume from the backlog', runs: runsOf(full.speeds) },
      { ...speed, variant: 'consume from a broker with nothing else', runs: runsOf(empty.speeds) },
      {
        ...row,
        variant: 'the former over the latter',
        unit: '×',
        better: 'higher',
        target: 0.8,
        runs: runsOf(ratios),
      },
    ] satisfies Row[];
  },
};

type Consumed = { speeds: number[]; rssMb: number; peakRssMb: number };

/** Fills once, or before each run, and takes a part of it in every run: the next part of the same group. */
function consumeRuns(bench: Bench, messages: number, fillEachRun: boolean): Promise<Consumed> {
  return onBroker(stampede, (broker) =>
    withQueue(stampede, broker, 'backlog', async (queue) => {
      const speeds: number[] = [];
      let rssMb = 0;
      for (let run = 0; run < bench.options.runs; run++) {
        if (run === 0 || fillEachRun) {
          const { perSecond } = await fill(broker, queue, messages, BYTES);
          rssMb = memoryOf(broker.pid).rssMb;
          bench.progress(
            `backlog: ${format(messages)} messages filled at ${format(perSecond)}/s, RSS ${rssMb} MB`,
          );
        }
        const job: ConsumerJob = {
          contender: stampede.name,
          endpoint: broker.endpoint,
          queue,
          messages: bench.options.sizes.backlogConsumed,
        };
        const { perSecond } = await new WorkerProcess<ConsumerResult>('consumer', job).result;
        bench.progress(`backlog: consumed at ${format(perSecond)}/s`);
        speeds.push(perSecond);
      }
      return { speeds, rssMb, peakRssMb: memoryOf(broker.pid).peakRssMb };
    }),
  );
}

/** Stores many messages quickly; how they got there is not what is measured. */
export function fill(
  { endpoint }: Pick<RunningBroker, 'endpoint'>,
  queue: string,
  messages: number,
  bytes: number,
): Promise<FillerResult> {
  const job: FillerJob = { endpoint, queue, messages, bytes };
  return new WorkerProcess<FillerResult>('filler', job).result;
}
