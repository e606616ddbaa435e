import Cluster from 'kafkajs/src/cluster/index.js';
import Batch from 'kafkajs/src/consumer/batch.js';
import type { Place, ReadResult, StartOffset } from './kafka-client.js';
import { toLogRecord } from './kafkajs.js';

/** Records of transactions that were not committed are not seen. */
const READ_COMMITTED = 1;
const MAX_FETCH_BYTES = 16 * 1024 * 1024;

/** Reads partitions from their leaders. Errors are kafkajs's own. */
export class LogReader {
  constructor(readonly cluster: Cluster) {}

  /** Of these topics the leaders are known from here on. Only those that exist: one that does not fails it for all. */
  async lookAt(topics: Iterable<string>): Promise<void> {
    this.cluster.targetTopics = new Set(topics);
    await this.cluster.refreshMetadata();
  }

  partitionsOf(topic: string): number {
    return this.cluster.findTopicPartitionMetadata(topic).length;
  }

  leaderOf({ topic, partition }: Place): number | undefined {
    return this.cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)
      ?.leader;
  }

  /** What one node has of these, each from its offset on; waits up to `waitMs` while it has nothing. */
  async fetch(
    nodeId: number,
    wanted: readonly { place: Place; offset: number }[],
    options: { waitMs: number; maxBytes: number },
  ): Promise<{ place: Place; from: number; result: ReadResult }[]> {
    const node = await this.cluster.findBroker({ nodeId });
    const byTopic = new Map<string, { partition: number; fetchOffset: string; maxBytes: number }[]>();
    for (const { place, offset } of wanted) {
      const partitions = byTopic.get(place.topic) ?? [];
      byTopic.set(place.topic, partitions);
      partitions.push({
        partition: place.partition,
        fetchOffset: String(offset),
        maxBytes: options.maxBytes,
      });
    }
    const { responses } = await node.fetch({
      maxWaitTime: options.waitMs,
      minBytes: 1,
      maxBytes: MAX_FETCH_BYTES,
      isolationLevel: READ_COMMITTED,
      topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })),
    });
    return responses.flatMap(({ topicName, partitions }) =>
      partitions.map((fetched) => {
        const place = { topic: topicName, partition: fetched.partition };
        const asked = wanted.find(
          (each) => each.place.topic === topicName && each.place.partition === place.partition,
        );
        const from = asked?.offset ?? 0;
        const batch = new Batch(topicName, String(from), fetched);
        const isEmpty = batch.rawMessages.length === 0;
        // The last offset of an empty answer would be the end of the log, which it need not have reached.
        const nextOffset = isEmpty ? from : Math.max(from, Number(batch.lastOffset()) + 1);
        const records = batch.messages.map((message) => toLogRecord(place, message));
        return { place, from, result: { records, nextOffset } };
      }),
    );
  }

  /** Of some partitions of one topic, or all. `latest` is what the next record gets. */
  async offsets(
    topic: string,
    at: StartOffset,
    partitions?: readonly number[],
  ): Promise<Map<number, number>> {
    const wanted = partitions ?? Array.from({ length: this.partitionsOf(topic) }, (_, index) => index);
    const asked = { topic, partitions: wanted.map((partition) => ({ partition })) };
    const when =
      typeof at === 'object'
        ? { fromTimestamp: Math.ceil(at.timestampMs) }
        : { fromBeginning: at === 'earliest' };
    const [answer] = await this.cluster.fetchTopicsOffset([{ ...asked, ...when }]);
    const found = new Map(answer?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    const none = wanted.filter((partition) => (found.get(partition) ?? -1) < 0);
    if (typeof at !== 'object' || none.length === 0) return found;
    // Nothing as new as that.
    for (const [partition, offset] of await this.offsets(topic, 'latest', none)) found.set(partition, offset);
    return found;
  }

  /** Of whole topics, which are known. */
  async offsetsOf(topics: readonly string[], at: StartOffset): Promise<Map<string, number[]>> {
    const found = new Map<string, number[]>();
    if (typeof at === 'object') {
      for (const topic of topics) found.set(topic, inOrder(await this.offsets(topic, at)));
      return found;
    }
    const asked = topics.map((topic) => ({
      topic,
      partitions: Array.from({ length: this.partitionsOf(topic) }, (_, partition) => ({ partition })),
      fromBeginning: at === 'earliest',
    }));
    for (const { topic, partitions } of await this.cluster.fetchTopicsOffset(asked))
      found.set(topic, inOrder(partitions.map(({ partition, offset }) => [partition, Number(offset)])));
    return found;
  }
}

const inOrder = (offsets: Iterable<readonly [number, number]>): number[] =>
  [...offsets].sort(([a], [b]) => a - b).map(([, offset]) => offset);
