import { compare } from '../benchmark.js';
import type { Benchmark, Row, RowOf } from '../benchmark.js';
import { cpuSecondsOf } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { LatencyJob, LatencyResult } from '../workers/latency-consumer.js';
import type { PacedProducerJob, PacedProducerResult } from '../workers/paced-producer.js';
import { withQueue } from './send.js';

type SizeVariant = RowOf & { bytes: number };

const VARIANTS: readonly SizeVariant[] = [
  { variant: 'p99, 256 B', bytes: 256, unit: 'ms', better: 'lower', target: 3 },
  { variant: 'p99, 1 KB', bytes: 1_024, unit: 'ms', better: 'lower' },
];
/** Part of the messages that is sent but not counted. */
const WARM_UP = 0.2;

export const latency: Benchmark = {
  name: 'latency',
  title: 'End to end at 1,000 messages/s, durable, from the moment a message is due until its handler has it',
  run: (bench): Promise<Row[]> => {
    const { latencyPerSecond: perSecond, latencySeconds } = bench.options.sizes;
    const messages = Math.ceil(perSecond * latencySeconds * (1 + WARM_UP));
    const warmUpMessages = Math.floor(perSecond * latencySeconds * WARM_UP);
    return compare(bench, 'latency', VARIANTS, (contender, broker, { bytes }, run) =>
      withQueue(contender, broker, `latency-${bytes}-${run}`, async (queue) => {
        const common = { contender: contender.name, endpoint: broker.endpoint, queue, messages };
        const job: LatencyJob = { ...common, warmUpMessages };
        const consumer = new WorkerProcess<LatencyResult>('latency-consumer', job);
        await consumer.ready;
        const before = cpuSecondsOf(broker.pid);
        const paced: PacedProducerJob = { ...common, bytes, perSecond };
        const producer = new WorkerProcess<PacedProducerResult>('paced-producer', paced);
        const [result] = await Promise.all([consumer.result, producer.result]);
        const brokerCpuSeconds = cpuSecondsOf(broker.pid) - before;
        return { value: result.sinceDue.p99, details: { ...result, brokerCpuSeconds } };
      }),
    );
  },
};
