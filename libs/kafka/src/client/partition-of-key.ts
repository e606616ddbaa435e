import { Partitioners } from './kafkajs.js';

const choose = Partitioners.DefaultPartitioner();
const partitions = new Map<number, { partitionId: number; leader: number }[]>();

/** The partition that Kafka's own clients choose for a key (murmur2), so that others may send to the same topics. */
export function partitionOfKey(key: string, count: number): number {
  let known = partitions.get(count);
  if (known === undefined) {
    known = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 0 }));
    partitions.set(count, known);
  }
  return choose({ topic: '', partitionMetadata: known as never, message: { key, value: null } });
}
