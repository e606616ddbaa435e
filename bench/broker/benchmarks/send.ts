import { compare } from '../benchmark.js';
import type { Benchmark, Row, RowOf } from '../benchmark.js';
import type { BenchOptions } from '../options.js';
import type { ProducerJob, ProducerResult } from '../workers/producer.js';
import { WorkerProcess } from '../worker-process.js';
import type { Contender, RunningBroker } from '../contenders/contender.js';
import { cpuSecondsOf } from '../processes.js';

type SizeVariant = RowOf & { bytes: number };

const VARIANTS: readonly SizeVariant[] = [
  { variant: '256 B', bytes: 256, unit: 'messages/s', better: 'higher', target: 150_000 },
  { variant: '1 KB', bytes: 1_024, unit: 'messages/s', better: 'higher' },
];

export const send: Benchmark = {
  name: 'send',
  title: 'Durable send over TCP, one call per message',
  run: (bench): Promise<Row[]> =>
    compare(bench, 'send', VARIANTS, (contender, broker, { bytes }, run) =>
      withQueue(contender, broker, `send-${bytes}-${run}`, async (queue) => {
        const before = cpuSecondsOf(broker.pid);
        const result = await produce(bench.options, contender, broker, queue, bytes);
        const brokerCpuMicros = ((cpuSecondsOf(broker.pid) - before) / result.messages) * 1e6;
        return { value: result.perSecond, details: { ...result, brokerCpuMicros } };
      }),
    ),
};

/** One producer process at full speed for the configured time. */
export function produce(
  { inFlight, sizes }: BenchOptions,
  contender: Contender,
  { endpoint }: RunningBroker,
  queue: string,
  bytes: number,
): Promise<ProducerResult> {
  const { warmUpSeconds, seconds } = sizes;
  const job: ProducerJob = {
    contender: contender.name,
    endpoint,
    queue,
    bytes,
    inFlight,
    warmUpSeconds,
    seconds,
  };
  return new WorkerProcess<ProducerResult>('producer', job).result;
}

/** A queue for one run, so that no run finds what another left. */
export async function withQueue<Result>(
  contender: Contender,
  { endpoint }: RunningBroker,
  queue: string,
  work: (queue: string) => Promise<Result>,
): Promise<Result> {
  const client = await contender.connect(endpoint);
  try {
    await client.prepare(queue);
    const result = await work(queue);
    await client.drop(queue);
    return result;
  } finally {
    await client.close();
  }
}
