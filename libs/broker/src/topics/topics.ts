import {
  MessagingError,
  type TopicLimit,
  type TopicOptions,
  checkTopicName,
  deadLetterTopic,
} from '#libs/messaging/port';
import { OffsetIndex } from './offset-index.js';
import { hashOf } from './text-hash.js';
import { checkLimit } from './topic-limit.js';

/** Told when messages of a partition became visible. */
export interface PartitionListener {
  advanced(): void;
}

/** One partition: a log with dense offsets, whose bytes lie in the one journal. */
export class Partition {
  index: OffsetIndex;
  /** The oldest offset that is kept. */
  start: number;
  /** Messages before this offset may be delivered: they are as durable as the topic promises. */
  visibleEnd: number;
  /** True between an append and the commit that makes it visible. */
  touched = false;
  /** True once a message had another priority than the default one. */
  hasPriorities = false;
  readonly listeners: PartitionListener[] = [];
  /** Only with a bound in bytes: by offset, how many bytes were stored before it. */
  private bytesBefore: OffsetIndex | undefined;
  private storedBytes = 0;

  constructor(
    readonly topic: Topic,
    readonly number: number,
  ) {
    this.index = new OffsetIndex();
    this.start = 0;
    this.visibleEnd = 0;
  }

  /** Earlier offsets are no longer kept. */
  beginAt(start: number): void {
    this.index = new OffsetIndex(start);
    this.start = start;
    this.visibleEnd = start;
    this.bytesBefore = undefined;
  }

  /** A message was added, of a topic that is bounded in bytes. */
  countBytes(bytes: number): void {
    this.bytesBefore ??= new OffsetIndex(this.start);
    while (this.bytesBefore.end < this.end) this.bytesBefore.push(this.storedBytes);
    this.storedBytes += bytes;
  }

  /** Bytes of the messages from `offset` on. */
  bytesFrom(offset: number): number {
    if (!this.bytesBefore || offset >= this.end) return 0;
    return this.storedBytes - Math.max(0, this.bytesBefore.get(offset));
  }

  /** Retention has dropped what lies before `start`. */
  dropBefore(start: number): void {
    this.start = start;
    this.index.dropBefore(start);
    this.bytesBefore?.dropBefore(start);
  }

  /** The offset that the next message gets. */
  get end(): number {
    return this.index.end;
  }
}

/** FNV's low bits are its weak ones (murmur3's finalizer). */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

export type Flush = 'sync' | 'async';
export type TopicFacts = {
  id: number;
  name: string;
  partitions: number;
  flush: Flush;
  limit?: TopicLimit;
  flushTimeoutMs?: number;
};

const DEAD_LETTERS = deadLetterTopic('');

export class Topic {
  readonly partitions: Partition[] = [];
  /** The group whose dead letters it holds. */
  readonly deadLettersOf: string | undefined;
  /** Its messages are gone, and its name may be another topic's. */
  isDeleted = false;
  private turn = 0;

  constructor(
    readonly id: number,
    readonly name: string,
    partitions: number,
    readonly flush: Flush,
    /** Journal position of its creation; tells whether a group was there before it. */
    readonly createdAt: number,
    /** How much of it may wait; undefined: any. */
    readonly limit?: TopicLimit,
    /** How long a send waits to be told that it is durable. */
    readonly flushTimeoutMs = Infinity,
  ) {
    if (name.startsWith(DEAD_LETTERS)) this.deadLettersOf = name.slice(DEAD_LETTERS.length);
    for (let number = 0; number < partitions; number++) this.partitions.push(new Partition(this, number));
  }

  /** By the key's hash; without a key, partitions take turns. */
  partitionFor(key: string | undefined): Partition {
    const count = this.partitions.length;
    if (count === 1) return this.partitions[0]!;
    const number = key === undefined ? this.turn++ % count : spread(hashOf(key)) % count;
    return this.partitions[number]!;
  }

  /**
   * Whoever creates a topic that is there may leave options out, and must not be told that others hold.
   * @throws {MessagingError} `INVALID_ARGUMENT`
   */
  checkAgrees(options: TopicOptions): void {
    const { flush, limit = {}, flushTimeoutMs } = this;
    const patience = flushTimeoutMs === Infinity ? {} : { flushTimeoutMs };
    const own = { partitions: this.partitions.length, flush, ...patience };
    const has: TopicOptions = { whenFull: 'reject', ...limit, ...own };
    const differs = (Object.keys(options) as (keyof TopicOptions)[]).filter(
      (name) => options[name] !== undefined && options[name] !== has[name],
    );
    if (differs.length === 0) return;
    const each = differs.map((name) => `${name} ${has[name] ?? 'unbounded'}, not ${options[name]}`);
    throw new MessagingError('INVALID_ARGUMENT', `topic ${this.name} is there, with ${each.join('; ')}`);
  }

  get isInternal(): boolean {
    return isInternalTopic(this.name);
  }
}

/** Topics that the broker makes for itself: retries and dead letters. */
export const isInternalTopic = (name: string): boolean => name.startsWith('%');

/**
 * Most topics of a broker. Those for retries and dead letters do not count: there are two for each group at most, and
 * a message that failed must have somewhere to go.
 */
export const MAX_TOPICS = 20_000;
/** Partitions of a topic that nobody created before its first message. */
const DEFAULT_PARTITIONS = 4;
/** Most partitions of a topic. */
export const MAX_PARTITIONS = 1_024;
/** Longest that a send is kept waiting to be told that it is durable. */
const MAX_FLUSH_TIMEOUT_MS = 600_000;
const INTERNAL_NAME = /^%(DLQ|RETRY)%[A-Za-z0-9._:-]{1,128}$/;

function checkFlushTimeout(topic: string, flushTimeoutMs: number): void {
  if (Number.isInteger(flushTimeoutMs) && flushTimeoutMs >= 1 && flushTimeoutMs <= MAX_FLUSH_TIMEOUT_MS)
    return;
  throw new MessagingError(
    'INVALID_ARGUMENT',
    `topic ${topic}: flushTimeoutMs is a whole number from 1 to ${MAX_FLUSH_TIMEOUT_MS}`,
  );
}

export class Topics {
  private readonly byName = new Map<string, Topic>();
  /** Deleted ones included. */
  private readonly byId = new Map<number, Topic>();
  private lastId = 0;
  /** Topics that are not internal. */
  private named = 0;

  get(name: string): Topic | undefined {
    return this.byName.get(name);
  }

  /** @throws {MessagingError} `UNKNOWN_TOPIC` */
  require(name: string): Topic {
    const topic = this.byName.get(name);
    if (!topic) throw new MessagingError('UNKNOWN_TOPIC', `topic ${JSON.stringify(name)}`);
    return topic;
  }

  get isEmpty(): boolean {
    return this.byId.size === 0;
  }

  /** Those that are there and those that were deleted. */
  withDeleted(): IterableIterator<Topic> {
    return this.byId.values();
  }

  /** Of any group one deletion takes two. @throws {MessagingError} `INVALID_ARGUMENT` */
  checkRoomForDeleted(): void {
    if (this.byId.size - this.byName.size >= 2 * MAX_TOPICS)
      throw new MessagingError('INVALID_ARGUMENT', `${2 * MAX_TOPICS} topics were deleted already`);
  }

  /** Applies `TOPIC_DELETED`. */
  delete(topic: Topic): void {
    if (topic.isDeleted) return;
    topic.isDeleted = true;
    this.byName.delete(topic.name);
    if (!topic.isInternal) this.named -= 1;
  }

  /** Also when it was deleted. */
  find(id: number): Topic | undefined {
    return this.byId.get(id);
  }

  byTopicId(id: number): Topic {
    const topic = this.byId.get(id);
    if (!topic)
      throw new MessagingError('LOG_CORRUPT', `an entry names topic id ${id}, which was never created`);
    return topic;
  }

  all(): IterableIterator<Topic> {
    return this.byName.values();
  }

  /** Room for those of these topics that are not there. @throws {MessagingError} `INVALID_ARGUMENT` */
  checkRoom(names: readonly string[]): void {
    const more = new Set(names.filter((name) => !this.byName.has(name))).size;
    if (this.named + more > MAX_TOPICS)
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `there are ${this.named} topics already; at most ${MAX_TOPICS}`,
      );
  }

  /** What to record for a new topic. Bounds and names are checked here, before anything is written. */
  plan(name: string, options: TopicOptions): TopicFacts {
    const { partitions = DEFAULT_PARTITIONS, flush = 'sync', flushTimeoutMs } = options;
    const { maxMessages, maxBytes, whenFull } = options;
    const limit = { maxMessages, maxBytes, whenFull } as TopicLimit;
    checkLimit(name, limit);
    if (flushTimeoutMs !== undefined) checkFlushTimeout(name, flushTimeoutMs);
    if (!INTERNAL_NAME.test(name)) checkTopicName(name);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `topic ${name}: 1 to ${MAX_PARTITIONS} partitions, not ${partitions}`,
      );
    }
    if (flush !== 'sync' && flush !== 'async') {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `topic ${name}: flush is sync or async, not ${String(flush)}`,
      );
    }
    if (!INTERNAL_NAME.test(name)) this.checkRoom([name]);
    const bounded = limit.maxMessages !== undefined || limit.maxBytes !== undefined;
    return {
      id: this.lastId + 1,
      name,
      partitions,
      flush,
      ...(bounded && { limit }),
      ...(flushTimeoutMs !== undefined && { flushTimeoutMs }),
    };
  }

  /** Applies `TOPIC_CREATED`. */
  create(facts: TopicFacts, createdAt: number): Topic {
    const { id, name, partitions, flush, limit, flushTimeoutMs } = facts;
    const topic = new Topic(id, name, partitions, flush, createdAt, limit, flushTimeoutMs);
    this.byName.set(topic.name, topic);
    this.byId.set(topic.id, topic);
    this.lastId = Math.max(this.lastId, topic.id);
    if (!topic.isInternal) this.named += 1;
    return topic;
  }
}
