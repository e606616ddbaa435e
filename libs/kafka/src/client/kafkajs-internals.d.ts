/**
 * The parts of kafkajs 2.2.4 below its producer and its consumer that `group-member.ts` stands on: they are not in its published
 * types. The version is fixed in package.json; `internals.spec.ts` fails when they are not there.
 */
declare module 'kafkajs/src/cluster/index.js' {
  type Partitions<T> = { topic: string; partitions: T[] }[];
  type JoinedMember = { memberId: string; memberMetadata: Buffer };

  export type Broker = {
    nodeId: number;
    joinGroup(request: {
      groupId: string;
      sessionTimeout: number;
      rebalanceTimeout: number;
      memberId: string;
      groupProtocols: { name: string; metadata: Buffer }[];
    }): Promise<{ generationId: number; leaderId: string; memberId: string; members: JoinedMember[] }>;
    syncGroup(request: {
      groupId: string;
      generationId: number;
      memberId: string;
      groupAssignment: { memberId: string; memberAssignment: Buffer }[];
    }): Promise<{ memberAssignment: Buffer }>;
    heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
    leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
    offsetCommit(request: {
      groupId: string;
      groupGenerationId: number;
      memberId: string;
      topics: Partitions<{ partition: number; offset: string; metadata: string }>;
    }): Promise<unknown>;
    offsetFetch(request: {
      groupId: string;
      topics: Partitions<{ partition: number }>;
    }): Promise<{ responses: Partitions<{ partition: number; offset: string; metadata: string | null }> }>;
    fetch(request: {
      maxWaitTime: number;
      minBytes: number;
      maxBytes: number;
      isolationLevel: number;
      topics: Partitions<{ partition: number; fetchOffset: string; maxBytes: number }>;
    }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
  };

  export type FetchedPartition = { partition: number; highWatermark: string };

  export default class Cluster {
    constructor(options: Record<string, unknown>);
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    targetTopics: Set<string>;
    refreshMetadata(): Promise<void>;
    refreshMetadataIfNecessary(): Promise<void>;
    removeBroker(address: { host: string; port: number }): void;
    findBroker(node: { nodeId: number | string }): Promise<Broker>;
    findGroupCoordinator(group: { groupId: string }): Promise<Broker>;
    findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
    fetchTopicsOffset(
      topics: {
        topic: string;
        partitions: { partition: number }[];
        fromBeginning?: boolean;
        fromTimestamp?: number;
      }[],
    ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
  }
}

declare module 'kafkajs/src/consumer/batch.js' {
  import type { FetchedPartition } from 'kafkajs/src/cluster/index.js';
  import type { KafkaMessage } from 'kafkajs';

  /** What is left of a fetched partition without aborted transactions and markers. */
  export default class Batch {
    constructor(topic: string, fetchedOffset: string, partition: FetchedPartition);
    messages: KafkaMessage[];
    rawMessages: { offset: string }[];
    lastOffset(): string;
  }
}

declare module 'kafkajs/src/network/socketFactory.js' {
  const createSocketFactory: () => unknown;
  export default createSocketFactory;
}

declare module 'kafkajs/src/network/requestQueue/index.js' {
  export default class RequestQueue {
    throttledUntil: number;
    pending: unknown[];
    scheduleCheckPendingRequests: (this: RequestQueue) => void;
  }
}
