import type { Place } from './kafka-client.js';

/** As Kafka's requests name partitions: in the order of the topics' first places. */
export function byTopic<P extends Place, T>(
  places: readonly P[],
  toPartition: (place: P) => T,
): { topic: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>();
  for (const place of places) {
    const partitions = topics.get(place.topic) ?? [];
    topics.set(place.topic, partitions);
    partitions.push(toPartition(place));
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

export const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`;
