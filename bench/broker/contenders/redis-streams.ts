import { Redis } from 'ioredis';
import { CONSUMER_IN_FLIGHT } from './contender.js';
import type { BenchClient, Contender, Endpoint, OnMessage } from './contender.js';
import { startRedis } from './redis-server.js';

const GROUP = 'bench';
/** Entries of one XREADGROUP; several are under way one after the other, so a part of what may be in flight. */
const READ_COUNT = CONSUMER_IN_FLIGHT / 8;
const BLOCK_MS = 1_000;

type Entries = [stream: string, entries: [id: string, fields: string[]][]][] | null;

export const redisStreams: Contender = {
  name: 'redis-streams',
  title: 'Redis Streams',
  durability: 'appendfsync always: fsync before the reply, grouped',
  equalDurability: true,
  start: (dir) => startRedis(dir, 'always'),
  connect: connectStreams,
};

async function connectStreams({ host, port }: Endpoint): Promise<BenchClient> {
  // Auto-pipelining: what is called in one tick leaves in one write, which is its fastest way.
  const redis = new Redis({ host, port, enableAutoPipelining: true });
  const reader = new Redis({ host, port });
  let open = true;
  return {
    prepare: async (queue) => void (await redis.xgroup('CREATE', queue, GROUP, '0', 'MKSTREAM')),
    send: async (queue, key, body) => void (await redis.xadd(queue, '*', 'key', key, 'body', body)),
    async consume(queue, onMessage, onAcked) {
      void readAll(queue, onMessage, onAcked);
    },
    drop: async (queue) => void (await redis.del(queue)),
    async close() {
      open = false;
      reader.disconnect();
      await redis.quit();
    },
  };

  async function readAll(
    queue: string,
    onMessage: OnMessage,
    onAcked: (messages: number) => void,
  ): Promise<void> {
    while (open) {
      const reply = (await reader
        .xreadgroup('GROUP', GROUP, 'consumer', 'COUNT', READ_COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', queue, '>')
        .catch((error: unknown) => {
          if (open) throw error;
          return null;
        })) as Entries;
      const entries = reply?.[0]?.[1] ?? [];
      if (entries.length === 0) continue;
      const ids = entries.map(([id, fields]) => {
        onMessage(fields[3] ?? '');
        return id;
      });
      // Not waited for: the next read is under way beside it.
      void redis.xack(queue, GROUP, ...ids).then(onAcked);
    }
  }
}
