import {
  type AutomaticRedrive,
  type GroupInfo,
  type StartAt,
  type Subscription,
  retryTopic,
} from '#libs/messaging/port';
import type { Partition, Topic } from '../topics/topics.js';
import type { Consumer } from './consumer.js';
import { Cursor, type CursorGroup, type Place, type Ready } from '../positions/cursor.js';
import { type Interest, Interests } from './interests.js';
import { Lanes } from '../positions/lanes.js';
import { MemberTurns } from './member-turns.js';
import type { Priorities } from '../positions/priority-lookahead.js';
import { FIRST_TRY, type HeldBack } from '../positions/tries.js';

/** After so many deliveries in a row that ended without a verdict a message is tried alone. */
export const SUSPECT_AFTER = 2;

/** Messages that only some of the members take, none of which has room, or is there. */
export type Reserved = { readonly takers: readonly Interest[]; readonly items: Ready[] };

let ordinals = 0;

export type GroupOrder = 'unordered' | 'by-key';

/** Members that share messages, and how far they are. A broadcast member is a group of one that is never recorded. */
export class Group implements CursorGroup {
  readonly members: Consumer[] = [];
  readonly turns = new MemberTurns(this.members);
  readonly cursors = new Map<Partition, Cursor>();
  /** Cursors that have something to read, in turn. */
  readonly queue: Cursor[] = [];
  readonly ready: Ready[] = [];
  /**
   * Messages that may be what takes consumers down: each is given to a member that has nothing else, so that its
   * neighbours do not die with it again and again.
   */
  readonly suspects: Ready[] = [];
  /** Messages that wait for certain members while others go on, by who takes them. */
  readonly reserved = new Map<string, Reserved>();
  /** Messages held back, with a place in this list until they are due. */
  readonly waiting: (Place & HeldBack)[] = [];
  /** Ordered groups: what is in flight of each key, and what waits behind it. */
  readonly lanes = new Lanes();
  order: GroupOrder = 'unordered';
  /** Ordered groups: failures after which a message may still hold its key back. */
  blockTimes = Infinity;
  /** As its members asked for; nobody did since the start: undefined. */
  automaticRedrive: AutomaticRedrive | undefined;
  /** What its members take. */
  readonly interests: Interests;
  startAt: StartAt = 'earliest';
  priorities: Priorities = 'strict';
  /** True once messages of a partition that it reads had priorities. */
  private hasPriorities = false;
  /** Retries that wait in the timers. */
  waitingRetries = 0;
  acked = 0;
  /** What retention dropped before it was settled. */
  missed: GroupInfo['missed'] = { messages: 0, ranges: [] };
  /** Its name may be another group's. */
  isDeleted = false;
  /** Its place among all groups of this run, in the order in which they were made. */
  readonly ordinal = ++ordinals;

  constructor(
    readonly id: number,
    readonly name: string,
    readonly mode: 'shared' | 'broadcast',
    /** Journal position of its creation. */
    readonly createdAt: number,
    private readonly onWake: (group: Group) => void,
  ) {
    this.interests = new Interests(name);
  }

  wake(): void {
    this.onWake(this);
  }

  /** A member is done with a message, and may be given another one. */
  settledOne(): void {
    this.acked += 1;
    if (this.hasWork) this.wake();
  }

  /** A cursor has something to read. */
  activate(cursor: Cursor): void {
    if (cursor.partition.hasPriorities) this.hasPriorities = true;
    if (cursor.queued || cursor.loading || !cursor.isWanted || !cursor.hasMore) return;
    cursor.queued = true;
    this.queue.push(cursor);
    if (this.members.length > 0) this.wake();
  }

  makeReady(item: Ready): void {
    (item.lost >= SUSPECT_AFTER ? this.suspects : this.ready).push(item);
    if (this.members.length > 0) this.wake();
  }

  /** It is ready when it is due. */
  putOff(item: Place & HeldBack): void {
    this.waiting.push(item);
  }

  /** The turn of a message has come: now, or once it has waited for as long as it was to. */
  resume({ cursor, offset }: Place): void {
    const held = cursor.heldBack.get(offset);
    if (held) this.putOff({ cursor, offset, ...held });
    else this.makeReady({ cursor, offset, ...FIRST_TRY });
  }

  /** The next message of the key may go out. */
  freeLane(topic: string, key: string | undefined, { cursor, offset }: Place): void {
    if (key === undefined) return;
    const next = this.lanes.free(topic, key, cursor, offset);
    if (next) this.resume(next);
  }

  /** The same for one whose record cannot be read, and so whose key is not known. */
  freeUnread({ cursor, offset }: Place): void {
    const next = this.lanes.freeUnread(cursor, offset);
    if (next) this.resume(next);
  }

  /** Messages of the cursor no longer stand in any lane; the next of those keys may go out. */
  leaveLanes(cursor: Cursor): void {
    for (const place of this.lanes.retain((each) => each.cursor !== cursor)) this.resume(place);
  }

  /** Whether something could go out if a member had room. */
  get hasWork(): boolean {
    const { queue, ready, suspects, reserved, turns } = this;
    return queue.length + ready.length + suspects.length + reserved.size > 0 || turns.isExamining;
  }

  /** Whether the highest priority comes first, whatever partition it is in. */
  get ranksStrictly(): boolean {
    return this.hasPriorities && this.priorities === 'strict' && this.order === 'unordered';
  }

  addCursor(partition: Partition, start: number): Cursor {
    const cursor = new Cursor(this, partition, start, partition.topic.name === retryTopic(this.name));
    cursor.isWanted = this.wants(partition.topic);
    this.cursors.set(partition, cursor);
    partition.listeners.push(cursor);
    return cursor;
  }

  /** The group has no place there any more. */
  dropCursor(cursor: Cursor): void {
    this.setAside(cursor);
    cursor.isWanted = false;
    cursor.reset(cursor.partition.end);
    const { listeners } = cursor.partition;
    listeners.splice(listeners.indexOf(cursor), 1);
    this.cursors.delete(cursor.partition);
  }

  /** @param subscription of a member that joins: the first one, or like that of the others but for what they take */
  subscribe(subscription: Subscription): void {
    const { order = 'unordered' } = subscription;
    if (order !== this.order) {
      this.unreserve();
      for (const cursor of this.cursors.values()) this.setAside(cursor);
    }
    this.order = order;
    this.blockTimes = blockTimesOf(subscription);
    this.automaticRedrive = subscription.automaticRedrive;
    this.startAt = subscription.startAt ?? 'earliest';
    this.priorities = subscription.priorities ?? 'strict';
  }

  /** What its members take is now this. What waits for some of them is looked at anew. */
  takeInterest(all: Parameters<Interests['set']>[0]): void {
    this.interests.set(all);
    this.unreserve();
    for (const cursor of this.cursors.values()) {
      const isWanted = this.wants(cursor.partition.topic);
      if (cursor.isWanted && !isWanted) this.setAside(cursor);
      cursor.isWanted = isWanted;
      this.activate(cursor);
    }
  }

  /** A message that only these take waits for one of them. */
  reserve(takers: readonly Interest[], item: Ready): void {
    const name = takers.map((interest) => interest.name).join();
    const known = this.reserved.get(name);
    if (known) known.items.push(item);
    else this.reserved.set(name, { takers, items: [item] });
  }

  /** Who takes them may have come. */
  unreserve(): void {
    const waiting = [...this.reserved.values()].flatMap(({ items }) => items);
    this.reserved.clear();
    for (const item of waiting) this.makeReady(item);
  }

  /**
   * What was read of it is forgotten but for its tries, and read again under the present order, or when its topic is asked
   * for again. Nobody has anything of it: members join with another order only when all left, and a topic is given up
   * after all who took it.
   */
  private setAside(cursor: Cursor): void {
    this.withdraw((item) => {
      if (item.cursor !== cursor) return false;
      cursor.holdBack(item.offset, item, item.dueAtMs);
      return true;
    });
    const place = this.queue.indexOf(cursor);
    if (place >= 0) this.queue.splice(place, 1);
    cursor.queued = false;
    cursor.rewind();
    this.leaveLanes(cursor);
  }

  /** Takes messages off all lists in which they wait for their turn. */
  withdraw(isMeant: (item: Ready & { dueAtMs?: number }) => boolean): void {
    const reserved = [...this.reserved.values()].map(({ items }) => items);
    const lists: (Ready & { dueAtMs?: number })[][] = [this.ready, this.suspects, this.waiting, ...reserved];
    for (const list of lists) for (const item of list.splice(0)) if (!isMeant(item)) list.push(item);
  }

  /** Whether the group takes messages of this topic. */
  wants({ name }: Topic): boolean {
    return name === retryTopic(this.name) || this.interests.wants(name);
  }

  /** Whether a topic of it keeps what it confirms over a power cut. */
  get isSynced(): boolean {
    for (const { topic } of this.cursors.keys()) if (topic.flush === 'sync') return true;
    return false;
  }

  /** As much as can be in flight at all of its members. */
  get mostInFlight(): number {
    return this.members.reduce((sum, { maxInFlightMessages }) => sum + maxInFlightMessages, 0);
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
