import {
  type Attempt,
  type AutomaticRedrive,
  type GroupInfo,
  type Subscription,
  type TopicFilter,
  deadLetterTopic,
  retryTopic,
} from '#libs/messaging/port';
import { tagHashOf } from '../topics/record.js';
import type { Partition, Topic } from '../topics/topics.js';
import type { Consumer } from './consumer.js';
import { Cursor } from './cursor.js';

/** A message that goes out before new ones: its lease was lost, its wait is over, or its key became free. */
export type Ready = { cursor: Cursor; offset: number; attempt: number; history: readonly Attempt[] };

type TagFilter = { names: ReadonlySet<string>; hashes: ReadonlySet<number> };

export type GroupOrder = 'unordered' | 'by-key';

/** Members that share messages, and how far they are. A broadcast member is a group of one that is never recorded. */
export class Group {
  readonly members: Consumer[] = [];
  readonly cursors = new Map<Partition, Cursor>();
  /** Cursors that have something to read, in turn. */
  readonly queue: Cursor[] = [];
  readonly ready: Ready[] = [];
  /** Ordered groups: messages held back, with a place in this list until they are due. */
  readonly waiting: (Ready & { dueAtMs: number })[] = [];
  order: GroupOrder = 'unordered';
  /** Ordered groups: failures after which a message may still hold its key back. */
  blockTimes = Infinity;
  /** As its members asked for; nobody did since the start: undefined. */
  automaticRedrive: AutomaticRedrive | undefined;
  filters: readonly TopicFilter[] = [];
  private tagFilters = new Map<string, TagFilter | undefined>();
  startAt: 'earliest' | 'latest' = 'earliest';
  /** Retries that wait in the timers. */
  waitingRetries = 0;
  acked = 0;
  /** What retention dropped before it was settled. */
  missed: GroupInfo['missed'] = { messages: 0, ranges: [] };
  private turn = 0;

  constructor(
    readonly id: number,
    readonly name: string,
    readonly mode: 'shared' | 'broadcast',
    /** Journal position of its creation. */
    readonly createdAt: number,
    private readonly wake: (group: Group) => void,
  ) {}

  /** A cursor has something to read. */
  activate(cursor: Cursor): void {
    if (cursor.queued || cursor.loading || !cursor.isWanted || !cursor.hasMore) return;
    cursor.queued = true;
    this.queue.push(cursor);
    if (this.members.length > 0) this.wake(this);
  }

  makeReady(item: Ready): void {
    this.ready.push(item);
    if (this.members.length > 0) this.wake(this);
  }

  addCursor(partition: Partition, start: number): Cursor {
    const cursor = new Cursor(this, partition, start, partition.topic.name === retryTopic(this.name));
    this.cursors.set(partition, cursor);
    partition.listeners.push(cursor);
    return cursor;
  }

  subscribe(subscription: Subscription): void {
    this.filters = subscription.topics;
    this.order = subscription.order ?? 'unordered';
    this.blockTimes = blockTimesOf(subscription);
    this.automaticRedrive = subscription.automaticRedrive;
    this.startAt = subscription.startAt ?? 'earliest';
    this.tagFilters = new Map();
    for (const cursor of this.cursors.values()) {
      const isWanted = this.wants(cursor.partition.topic);
      if (cursor.isWanted && !isWanted) this.setAside(cursor);
      cursor.isWanted = isWanted;
    }
  }

  /** Its place is kept for when the topic is asked for again. Nobody has anything of it: members join with other topics only when all left. */
  private setAside(cursor: Cursor): void {
    for (const list of [this.ready, this.waiting]) {
      for (const item of list.splice(0)) {
        if (item.cursor !== cursor) list.push(item);
        else if (this.order === 'by-key') cursor.holdBack(item);
      }
    }
    const place = this.queue.indexOf(cursor);
    if (place >= 0) this.queue.splice(place, 1);
    cursor.queued = false;
    cursor.rewind();
  }

  /** Whether the group takes messages of this topic. By a wildcard, it never takes its own dead letters, nor by `*` what the broker keeps for other groups. */
  wants(topic: Topic): boolean {
    const { name } = topic;
    if (name === retryTopic(this.name)) return true;
    return this.filters.some((filter) => {
      if (!filter.topic.endsWith('*')) return filter.topic === name;
      if (topic.isInternal && !filter.topic.startsWith('%')) return false;
      return name.startsWith(filter.topic.slice(0, -1)) && name !== deadLetterTopic(this.name);
    });
  }

  /** The tags taken from a topic; undefined: all. */
  tagsOf(topic: Topic): TagFilter | undefined {
    if (this.tagFilters.has(topic.name)) return this.tagFilters.get(topic.name);
    const matching = this.filters.filter(({ topic: pattern }) =>
      pattern.endsWith('*') ? topic.name.startsWith(pattern.slice(0, -1)) : pattern === topic.name,
    );
    const all = matching.length === 0 || matching.some(({ tags }) => !tags || tags.length === 0);
    const names = new Set(matching.flatMap(({ tags }) => tags ?? []));
    const filter = all ? undefined : { names, hashes: new Set([...names].map(tagHashOf)) };
    this.tagFilters.set(topic.name, filter);
    return filter;
  }

  /** The next member in turn that may take another message. */
  nextWithRoom(): Consumer | undefined {
    const { members } = this;
    for (let i = 0; i < members.length; i++) {
      this.turn = (this.turn + 1) % members.length;
      const member = members[this.turn]!;
      if (member.hasRoom) return member;
    }
    return undefined;
  }

  /** Whether a topic of it keeps what it confirms over a power cut. */
  get isSynced(): boolean {
    for (const { topic } of this.cursors.keys()) if (topic.flush === 'sync') return true;
    return false;
  }

  get inFlight(): number {
    return this.members.reduce((sum, member) => sum + member.inFlight.size, 0);
  }

  /** Moves messages whose wait is over to the ready ones. */
  releaseDue(nowMs: number): void {
    for (let i = this.waiting.length - 1; i >= 0; i--) {
      const item = this.waiting[i]!;
      if (item.dueAtMs > nowMs) continue;
      this.waiting.splice(i, 1);
      item.cursor.heldBack.delete(item.offset);
      this.makeReady(item);
    }
  }
}

/** How often a failing message may hold its key back. */
export function blockTimesOf({ whenFailing = 'block' }: Subscription): number {
  if (whenFailing === 'block') return Infinity;
  return whenFailing === 'skip' ? 0 : whenFailing.blockTimes;
}
