import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { format } from '../benchmark.js';
import type { Benchmark, Row, Run } from '../benchmark.js';
import { stampede, startStampede } from '../contenders/stampede.js';
import { inTemporaryDir, memoryOf } from '../processes.js';
import { fill } from './backlog.js';
import { withQueue } from './send.js';

const BYTES = 256;
/** What such a message takes in the journal, roughly. */
const STORED_BYTES = 360;

export const reopen: Benchmark = {
  name: 'reopen',
  title: 'Reopen after SIGKILL: from the start of the process until a client has its first answer',
  run: (bench): Promise<Row[]> =>
    inTemporaryDir(async (dir) => {
      const messages = Math.ceil((bench.options.sizes.reopenMb * 1024 ** 2) / STORED_BYTES);
      let broker = await startStampede(dir);
      const runs: Run[] = [];
      let logMb = 0;
      try {
        await withQueue(stampede, broker, 'reopen', (queue) => fill(broker, queue, messages, BYTES));
        logMb = (await bytesIn(dir)) / 1024 ** 2;
        for (let run = 0; run < bench.options.runs; run++) {
          await broker.program.stop('SIGKILL');
          const startedMs = performance.now();
          broker = await startStampede(dir);
          const client = await stampede.connect(broker.endpoint);
          await client.prepare('reopen');
          const value = (performance.now() - startedMs) / 1000;
          await client.close();
          runs.push({ value, details: { logMb, ...memoryOf(broker.pid) } });
          bench.progress(`reopen: ${format(value)} s with ${format(logMb)} MB of log`);
        }
      } finally {
        await broker.stop();
      }
      const variant = `${format(logMb)} MB of log, ${format(messages)} messages`;
      return [
        {
          benchmark: 'reopen',
          contender: 'Stampede broker',
          variant,
          unit: 's',
          better: 'lower',
          target: 3,
          runs,
        },
      ];
    }),
};

async function bytesIn(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true });
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
