import { compare } from '../benchmark.js';
import type { Benchmark, Row, RowOf } from '../benchmark.js';
import { cpuSecondsOf } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { ConsumerJob, ConsumerResult } from '../workers/consumer.js';
import { produce, withQueue } from './send.js';

type SizeVariant = RowOf & { bytes: number };

const VARIANTS: readonly SizeVariant[] = [
  { variant: '256 B', bytes: 256, unit: 'messages/s', better: 'higher', target: 200_000 },
  { variant: '1 KB', bytes: 1_024, unit: 'messages/s', better: 'higher' },
];

export const consume: Benchmark = {
  name: 'consume',
  title: 'Consume over TCP, in batches where the client has them, each message acknowledged',
  run: (bench): Promise<Row[]> =>
    compare(bench, 'consume', VARIANTS, (contender, broker, { bytes }, run) =>
      withQueue(contender, broker, `consume-${bytes}-${run}`, async (queue) => {
        const filled = await produce(bench.options, contender, broker, queue, bytes);
        const job: ConsumerJob = {
          contender: contender.name,
          endpoint: broker.endpoint,
          queue,
          messages: filled.messages,
        };
        const before = cpuSecondsOf(broker.pid);
        const result = await new WorkerProcess<ConsumerResult>('consumer', job).result;
        const brokerCpuMicros = ((cpuSecondsOf(broker.pid) - before) / result.messages) * 1e6;
        return {
          value: result.perSecond,
          details: { ...result, brokerCpuMicros, filledPerSecond: filled.perSecond },
        };
      }),
    ),
};
