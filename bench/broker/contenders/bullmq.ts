import { Queue, Worker } from 'bullmq';
import { CONSUMER_IN_FLIGHT } from './contender.js';
import type { BenchClient, Contender, Endpoint } from './contender.js';
import { startRedis } from './redis-server.js';

/** Jobs under way at once; beyond it BullMQ gets slower. */
const CONCURRENCY = Math.min(CONSUMER_IN_FLIGHT, 500);

export const bullmqAlways: Contender = {
  name: 'bullmq',
  title: 'BullMQ, fsync always',
  durability: 'appendfsync always: fsync before the reply, grouped',
  equalDurability: true,
  start: (dir) => startRedis(dir, 'always'),
  connect: connectBullmq,
};

/** As most run it. */
export const bullmqEverySecond: Contender = {
  ...bullmqAlways,
  name: 'bullmq-everysec',
  title: 'BullMQ, fsync each second',
  durability: 'appendfsync everysec: a power cut takes up to a second of confirmed jobs',
  equalDurability: false,
  start: (dir) => startRedis(dir, 'everysec'),
};

async function connectBullmq({ host, port }: Endpoint): Promise<BenchClient> {
  const connection = { host, port };
  const queues = new Map<string, Queue>();
  const workers: Worker[] = [];
  const queueOf = (name: string): Queue => {
    let queue = queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, {
        connection: { ...connection, enableAutoPipelining: true },
        defaultJobOptions: { removeOnComplete: true },
      });
      queues.set(name, queue);
    }
    return queue;
  };
  return {
    prepare: async (queue) => void (await queueOf(queue).waitUntilReady()),
    send: async (queue, key, body) => void (await queueOf(queue).add(key, body)),
    async consume(queue, onMessage, onAcked) {
      const worker = new Worker<string>(
        queue,
        (job) => {
          onMessage(job.data);
          return Promise.resolve();
        },
        { connection, concurrency: CONCURRENCY },
      );
      // Told once Redis has moved the job on.
      worker.on('completed', () => onAcked(1));
      workers.push(worker);
      await worker.waitUntilReady();
    },
    drop: (queue) => queueOf(queue).obliterate({ force: true }),
    async close() {
      for (const worker of workers) await worker.close();
      for (const queue of queues.values()) await queue.close();
    },
  };
}
