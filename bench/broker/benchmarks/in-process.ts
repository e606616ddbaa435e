import { repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { inTemporaryDir } from '../processes.js';
import { WorkerProcess } from '../worker-process.js';
import type { InProcessJob, InProcessResult } from '../workers/in-process.js';

const figure = { unit: 'messages/s', better: 'higher' } as const;

export const inProcess: Benchmark = {
  name: 'in-process',
  title: 'Send in process, one call per message, fsync within a second (flush async)',
  run: async (bench) => {
    const { inFlight, sizes } = bench.options;
    const measure = (bytes: number): Promise<InProcessResult> =>
      inTemporaryDir((dir) => {
        const { seconds, warmUpSeconds } = sizes;
        const job: InProcessJob = { dir, bytes, inFlight, seconds, warmUpSeconds };
        return new WorkerProcess<InProcessResult>('in-process', job).result;
      });
    const small = { ...figure, variant: '256 B', target: 600_000 };
    return [
      ...(await repeat(bench, 'in-process', { perSecond: small }, () => measure(256))),
      ...(await repeat(bench, 'in-process', { perSecond: { ...figure, variant: '1 KB' } }, () =>
        measure(1_024),
      )),
    ];
  },
};
