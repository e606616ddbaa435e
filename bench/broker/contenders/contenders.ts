import { bullmqAlways, bullmqEverySecond } from './bullmq.js';
import type { Contender } from './contender.js';
import { kafkaFsync, kafkaPageCache } from './kafka.js';
import { natsJetstream } from './nats-jetstream.js';
import { rabbitmq } from './rabbitmq.js';
import { redisStreams } from './redis-streams.js';
import { rocketmqPageCache, rocketmqSyncFlush } from './rocketmq.js';
import { stampede, stampedeOneByOne } from './stampede.js';

/** Ours first; the order of every table. */
export const CONTENDERS: readonly Contender[] = [
  stampede,
  stampedeOneByOne,
  redisStreams,
  rabbitmq,
  kafkaFsync,
  kafkaPageCache,
  rocketmqSyncFlush,
  rocketmqPageCache,
  natsJetstream,
  bullmqAlways,
  bullmqEverySecond,
];

export function contenderNamed(name: string): Contender {
  const found = CONTENDERS.find((contender) => contender.name === name);
  if (found === undefined) throw new Error(`no contender is called ${name}`);
  return found;
}
