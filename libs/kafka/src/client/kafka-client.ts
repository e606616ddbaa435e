/**
 * The seam: all that the rest of this library knows of a Kafka cluster, and nothing of the package that speaks to it. Retries,
 * lanes, dead letters, windows of offsets stand above it; `docs/adr/0025-kafkajs-behind-a-seam.md` says why and when to change
 * what is below.
 *
 * Everything rejects with a `MessagingError`.
 */

/** One partition of one topic. */
export type Place = { topic: string; partition: number };

export type NewRecord = Place & {
  key: Buffer | null;
  /** Null is a tombstone: a compacted topic forgets the key. */
  value: Buffer | null;
  headers: Record<string, string>;
};

export type LogRecord = Place & {
  offset: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, string>;
  /** When its producer made it, epoch milliseconds. */
  timestampMs: number;
};

/** What is there from an offset on. */
export type ReadResult = {
  /** Without those of aborted transactions; maybe none, though there was something. */
  records: LogRecord[];
  /** Where to read on. Behind the last record where a transaction's marker or compacted records follow it. */
  nextOffset: number;
};

export type StartOffset = 'earliest' | 'latest' | { timestampMs: number };

/** A group's place in a partition, and up to 4,000 characters that its members tell each other. */
export type Committed = Place & { offset: number; note: string };

export type TopicSpec = {
  partitions: number;
  /** Copies of each partition; -1: what the cluster's default is. */
  replicas: number;
  /** Kafka's own settings of a topic, as `cleanup.policy`. */
  settings: Record<string, string>;
};

/** What a member of a group is told. Only `onRevoke` is waited for. */
export type MembershipCallbacks = {
  /** The member reads these from here on, beginning at `offset`. */
  onAssign(places: readonly Committed[]): void;
  /** The partitions go to somebody else when this has resolved, or after `rebalanceTimeoutMs`: work on them is to be finished and committed. */
  onRevoke(): Promise<void>;
  /** They are somebody else's already: the session ran out. Nothing can be committed any more. */
  onLose(): void;
  onRecords(place: Place, result: ReadResult): void;
  /** Offsets `from` to `to - 1` are not there any more; reading goes on behind them. */
  onGap(place: Place, from: number, to: number): void;
  /** It has ended by itself, and nothing reads any more. */
  onStop(error: Error): void;
};

export type MembershipOptions = MembershipCallbacks & {
  group: string;
  /** Shown in `GroupDescription.members`. */
  clientId: string;
  topics: readonly string[];
  /** Where a partition without a committed offset begins. */
  startOf(topic: string): StartOffset;
  /** A member that was not heard of for so long has lost its partitions. */
  sessionTimeoutMs: number;
  /** Between two signs of life, which go on while handlers work. */
  heartbeatMs: number;
  /** For how long the others wait for this one when partitions are divided anew. */
  rebalanceTimeoutMs: number;
  /** Most bytes that one fetch takes from a partition; one record at least. */
  maxFetchBytes: number;
};

export interface Membership {
  /** Stores the offsets for the group. Rejects with `LEASE_LOST` when the partitions are somebody else's by now. */
  commit(offsets: readonly Committed[]): Promise<void>;
  /** Reads no more of it. What is on its way already still comes. */
  pause(place: Place): void;
  resume(place: Place): void;
  /** Takes other topics from here on, after a new division. */
  changeTopics(topics: readonly string[]): void;
  /** Leaves the group. What is in flight is its owner's to wait for before. */
  leave(): Promise<void>;
}

export type GroupDescription = {
  group: string;
  members: { id: string; client: string; places: Place[] }[];
};

export interface KafkaClient {
  /**
   * Appends in the order given and answers with the offsets. Resolves when all in-sync replicas have them. Not atomic over
   * partitions: after a failure nobody knows which of them have been stored, save with `UNKNOWN_TOPIC` and `MESSAGE_TOO_LARGE`
   * where all are of one partition.
   */
  append(records: readonly NewRecord[]): Promise<number[]>;
  /** Joins a group; resolves with the first assignment. */
  join(options: MembershipOptions): Promise<Membership>;
  /** Reads without a group: what is there from `offset` on, waiting up to `waitMs` for the first. */
  read(place: Place, offset: number, waitMs: number): Promise<ReadResult>;
  /** Topic → partitions, of all topics. */
  topics(): Promise<ReadonlyMap<string, number>>;
  /** False when it is there already. */
  createTopic(topic: string, spec: TopicSpec): Promise<boolean>;
  deleteTopic(topic: string): Promise<void>;
  /** Topic → offset of each partition; `latest` is what the next record gets. Topics that are not there are left out. */
  offsets(topics: readonly string[], at: StartOffset): Promise<ReadonlyMap<string, readonly number[]>>;
  groups(): Promise<GroupDescription[]>;
  /** All places that the group has. */
  committed(group: string): Promise<Committed[]>;
  /** Sets places of a group without members. Rejects with `IN_USE` while it has some. */
  setCommitted(group: string, offsets: readonly Committed[]): Promise<void>;
  deleteGroup(group: string): Promise<void>;
  close(): Promise<void>;
}
