import { connectBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { onBroker, repeat } from '../benchmark.js';
import type { Benchmark } from '../benchmark.js';
import { stampede, urlOf } from '../contenders/stampede.js';
import { cpuSecondsOf, memoryOf, openFilesOf, sleep } from '../processes.js';

const PARTITIONS = 4;
/** What was started by the last message has ended by then. */
const SETTLE_MS = 3_000;
/** Beside the log's one open segment and a few read ones: sockets, pipes and what Node itself opens. */
const MAX_OPEN_FILES = 64;

export const idle: Benchmark = {
  name: 'idle',
  title: 'Many topics, nothing to do: a group subscribed to all of them, one connection',
  run: (bench) => {
    const { topics, idleSeconds } = bench.options.sizes;
    const what = `${topics} topics × ${PARTITIONS} partitions`;
    return repeat(
      bench,
      'idle',
      {
        cpuPercent: { variant: `${what}: CPU while idle`, unit: '% of a core', better: 'lower', target: 2 },
        openFiles: { variant: `${what}: open files`, unit: 'files', better: 'lower', target: MAX_OPEN_FILES },
        rssMb: { variant: `${what}: RSS`, unit: 'MB', better: 'lower' },
      },
      () =>
        onBroker(stampede, async ({ endpoint, pid }) => {
          const port = connectBroker({
            url: urlOf(endpoint),
            token: endpoint.token ?? '',
            clientName: 'bench-idle',
          });
          try {
            const filesBefore = openFilesOf(pid);
            await useEveryPartition(port, topics);
            await sleep(SETTLE_MS);
            const before = cpuSecondsOf(pid);
            await sleep(idleSeconds * 1000);
            const cpuPercent = ((cpuSecondsOf(pid) - before) / idleSeconds) * 100;
            const openFiles = openFilesOf(pid);
            return { cpuPercent, openFiles, rssMb: memoryOf(pid).rssMb, details: { filesBefore } };
          } finally {
            await port.close();
          }
        }),
    );
  },
};

/** Makes the topics, sends to every partition and consumes it, so that nothing is idle for want of use. */
async function useEveryPartition(port: BrokerPort, topics: number): Promise<void> {
  const names = Array.from({ length: topics }, (_, number) => `idle-${number}`);
  await Promise.all(names.map((name) => port.admin.createTopic(name, { partitions: PARTITIONS })));
  const keys = Array.from({ length: PARTITIONS * 2 }, (_, number) => `key-${number}`);
  const messages = names.flatMap((topic) =>
    keys.map((key) => ({ topic, tag: 'sent', key, body: Buffer.from(key) })),
  );
  let left = messages.length;
  await new Promise<void>((resolve, reject) => {
    port
      .subscribe({ group: 'idle', topics: [{ topic: 'idle-*' }] }, async ([delivery]) => {
        await delivery?.ack();
        left -= 1;
        if (left === 0) resolve();
      })
      .then(() => Promise.all(messages.map((message) => port.send([message]))))
      .catch(reject);
  });
}
