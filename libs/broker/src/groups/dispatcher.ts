import { type StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { Journal } from '../journal/journal.js';
import { provenanceOf } from '../topics/provenance.js';
import { readRecord } from '../topics/read-message.js';
import { DEFAULT_PRIORITY, recordAt } from '../topics/record.js';
import { type Trace, stepNumber } from '../trace/trace.js';
import { BlockReads, READ_AGAIN_MS } from './block-reads.js';
import { asDelivered } from './as-delivered.js';
import type { Consumer } from './consumer.js';
import type { Cursor, Ready } from '../positions/cursor.js';
import { Delivery } from './delivery.js';
import type { Group } from './group.js';
import type { Interest } from './interests.js';
import type { PendingAcks } from '../positions/pending-acks.js';
import { MAX_LOOKAHEAD } from '../positions/priority-lookahead.js';
import { SharedReads } from './shared-reads.js';
import { FIRST_TRY, type Tries } from '../positions/tries.js';

/** What the dispatcher needs of the engine. */
export interface DispatchHost {
  readonly trace: Trace;
  now(): number;
  /** What leases are counted in. */
  monotonicMs(): number;
  /** The journal is to know, before it is handed over, that a delivery is under way. */
  noteUnderWay(delivery: Delivery): void;
  /** A message outlived its TTL before it was delivered. */
  expired(cursor: Cursor, offset: number, message: StoredMessage): void;
  /** A message that the group was to have is no longer taken by any of its members, or by those of late. */
  unwanted(cursor: Cursor, offset: number, delivery: Pick<Delivery, 'stored' | 'attempt' | 'history'>): void;
  /** A record could not be read from its file: it is tried again, and holds up its partition meanwhile. */
  held(cursor: Cursor, offset: number, error: unknown): void;
  /** A record was read and makes no sense: the group passes over it. */
  undecodable(cursor: Cursor, offset: number, error: unknown): void;
  /** What was settled without a member. */
  readonly pendingAcks: PendingAcks;
  /** A lease runs out then, or a message is due again. */
  dueAt(atMs: number): void;
}

const DELIVERED = stepNumber('delivered');
/** Partitions among which a group finds the one with the highest priority. */
const MAX_RANKED = 1_024;
/** Messages taken from one partition before the next one has its turn. */
const TURN_MESSAGES = 64;
/** Deliveries made for a group before other work of the event loop has its turn. */
const MAX_PER_ROUND = 4096;

/**
 * Hands messages to the members of groups. There is no assignment of partitions to members: the next
 * message goes to the next member that has room. So nothing has to be rebalanced when a member joins
 * or leaves, a slow one does not hold up a partition, and order by key is kept by never having two
 * messages of a key in flight, whoever has them.
 */
export class Dispatcher {
  private readonly woken = new Set<Group>();
  private scheduled = false;
  /** Of the round at hand, in the milliseconds of leases. */
  private pumpedAtMs = 0;
  /** Deliveries made so far. */
  deliveries = 0;
  private readonly sharedReads = new SharedReads();
  readonly blocks: BlockReads;
  private journal!: Journal;

  constructor(private readonly host: DispatchHost) {
    this.blocks = new BlockReads({
      held: (cursor, offset, error) => host.held(cursor, offset, error),
    });
  }

  /** From now on messages are read from this journal. */
  use(journal: Journal): void {
    this.journal = journal;
    this.blocks.use(journal);
  }

  readonly wake = (group: Group): void => {
    this.woken.add(group);
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      const groups = [...this.woken];
      this.woken.clear();
      for (const woken of groups) this.pump(woken);
    });
  };

  /** Delivers what can be delivered now. */
  pump(group: Group): void {
    // Nothing can be settled any more, nor be moved to the dead letters.
    if (this.journal.failed) return;
    const now = this.host.now();
    this.pumpedAtMs = this.host.monotonicMs();
    let left = MAX_PER_ROUND;
    while (this.deliverSuspect(group, now)) left -= 1;
    while (left > 0 && this.deliverReady(group, now)) left -= 1;
    left = this.deliverReserved(group, left, now);
    while (left > 0 && group.queue.length > 0) {
      if (group.ranksStrictly && !this.putHighestFirst(group)) break;
      const cursor = group.queue[0]!;
      const delivered = this.deliverFrom(group, cursor, Math.min(left, TURN_MESSAGES), now);
      if (delivered === 'no-room') break;
      left -= delivered + 1;
      group.queue.shift();
      cursor.queued = false;
      cursor.loaded = undefined;
      group.activate(cursor);
    }
    if (left <= 0) this.wake(group);
    this.handOver(group);
  }

  private handOver(group: Group): void {
    for (const member of group.members) {
      const last = member.outbox.at(-1)?.deliveryId;
      if (last === undefined) continue;
      const isNoted = this.noteUnderWay(group, member);
      if (!isNoted && !member.atMostOnce && member.flushes === 0) {
        member.emit();
        continue;
      }
      member.flushes += 1;
      const emit = (): void => {
        member.flushes -= 1;
        member.emit(last);
      };
      // At most once: handed over only after the journal says that it was, as surely as its topic's receipts are.
      const upTo = member.atMostOnce && group.isSynced ? 'durable' : 'written';
      this.journal.flushThen(upTo, { resolve: emit, reject: () => undefined });
    }
  }

  /**
   * A consumer in the broker's own process takes the broker with it when it dies. What may have been under way then are
   * the first messages that are delivered after a start; those are noted, so that a message that kills is found out.
   */
  private noteUnderWay(group: Group, member: Consumer): boolean {
    const { events, atMostOnce, outbox } = member;
    if (!member.hasOldInOutbox) return false;
    member.hasOldInOutbox = false;
    if (events.copiesDeliveries || atMostOnce || group.mode !== 'shared') return false;
    let noted = false;
    for (const delivery of outbox) {
      const { cursor, offset, tries, isNoted } = delivery;
      if (offset >= cursor.endAtStart || isNoted) continue;
      if (cursor.noted >= group.mostInFlight && tries.lost === 0) continue;
      cursor.noted += 1;
      this.host.noteUnderWay(delivery);
      noted = true;
    }
    return noted;
  }

  /** Delivers the first of the ready messages; false when there is none or nobody has room. */
  private deliverReady(group: Group, now: number): boolean {
    const item = group.ready[0];
    return (
      item !== undefined &&
      this.deliverWaiting(group, group.ready, item, (takers) => group.nextWithRoom(takers), now)
    );
  }

  /** Delivers what waits for certain members, as far as those have room. Returns what is left of `limit`. */
  private deliverReserved(group: Group, limit: number, now: number): number {
    let left = limit;
    for (const [name, { takers, items }] of group.reserved) {
      const next = (): Consumer | undefined => group.nextWithRoom(takers);
      while (left > 0 && items.length > 0 && group.hasRoom(takers)) {
        if (!this.deliverWaiting(group, items, items[0]!, next, now)) break;
        left -= 1;
      }
      if (items.length === 0) group.reserved.delete(name);
    }
    return left;
  }

  /** Delivers a suspect to a member that has nothing else. Those that were there at fewer ends come first: they are most likely innocent. */
  private deliverSuspect(group: Group, now: number): boolean {
    const { suspects } = group;
    if (suspects.length === 0) {
      group.endExamination();
      return false;
    }
    const item = suspects.reduce((least, each) => (each.lost < least.lost ? each : least));
    return this.deliverWaiting(group, suspects, item, (takers) => group.examinerFor(takers), now);
  }

  /** Delivers one of a list; false when it has to stay there. */
  private deliverWaiting(
    group: Group,
    list: Ready[],
    item: Ready,
    nextMember: (takers?: readonly Interest[]) => Consumer | undefined,
    now: number,
  ): boolean {
    const { cursor, offset } = item;
    const takeOff = (): unknown => list.splice(list.indexOf(item), 1);
    if (cursor.settled.isSettled(offset) || offset < cursor.partition.start) {
      takeOff();
      group.freeUnread(item);
      return true;
    }
    const position = cursor.partition.index.get(offset);
    const block = this.blocks.of(cursor, offset, position);
    if (!block) return cursor.unreadable ? this.putAside(list, item, now) : false;
    // It waited behind its key and was never delivered: its time to live counts as it does for the others.
    if (item.attempt === 1 && this.hasExpired(block, position, now)) {
      takeOff();
      return this.expire(cursor, offset, block, position, now);
    }
    const takers = this.takersOf(group, cursor, block, position);
    if (takers?.length === 0) {
      takeOff();
      return this.giveUp(cursor, offset, item, block, position);
    }
    const member = nextMember(takers);
    if (!member) {
      const isAbsent = takers && !group.members.some(({ interest }) => takers.includes(interest));
      if (!takers || !(isAbsent || (list !== group.suspects && group.hasRoom()))) return false;
      takeOff();
      group.reserve(takers, item);
      return true;
    }
    takeOff();
    cursor.loaded = undefined;
    this.deliver(member, cursor, offset, item, block, position, now);
    return true;
  }

  /** One that cannot be read at the moment does not hold up the others that are ready. */
  private putAside(list: Ready[], item: Ready, now: number): true {
    list.splice(list.indexOf(item), 1);
    item.cursor.group.putOff({ ...item, dueAtMs: now + READ_AGAIN_MS });
    this.host.dueAt(now + READ_AGAIN_MS);
    return true;
  }

  /** Delivers up to `limit` messages of one partition, and answers how many those were. */
  private deliverFrom(group: Group, cursor: Cursor, limit: number, now: number): number | 'no-room' {
    if (goesByPriority(cursor)) return this.deliverByPriority(group, cursor, limit, now);
    let delivered = 0;
    // Skipped messages count as well: a long run of other tags must not hold up the event loop.
    for (let looked = 0; looked < limit * 16 && delivered < limit && cursor.hasUnread; looked++) {
      const offset = cursor.next;
      const position = cursor.partition.index.get(offset);
      const block = this.admit(group, cursor, offset, position);
      if (block === 'loading') return delivered;
      cursor.next += 1;
      if (block === 'skipped') continue;
      if (group.order === 'by-key' && !this.enterLane(group, cursor, offset, block, position)) continue;
      if (cursor.heldBack.size > 0 && this.isHeldBack(cursor, offset)) continue;
      if (this.expire(cursor, offset, block, position, now)) continue;
      const takers = this.takersOfNew(group, cursor, block, position);
      if (takers && this.isForOthers(group, cursor, offset, takers, block, position)) continue;
      const member = group.nextWithRoom(takers);
      if (!member) {
        this.leaveLane(group, cursor, offset, block, position);
        cursor.next = offset;
        return 'no-room';
      }
      this.deliver(member, cursor, offset, FIRST_TRY, block, position, now);
      delivered += 1;
    }
    return delivered;
  }

  /**
   * Begins the queue with the partition that has the highest priority, as far as it is read ahead. False while that cannot be
   * told, because what is read ahead comes from a file.
   */
  private putHighestFirst(group: Group): boolean {
    const { queue } = group;
    let first = 0;
    let highest = -1;
    const ranked = queue.slice(0, MAX_RANKED);
    for (const [place, cursor] of ranked.entries()) {
      const ranks = goesByPriority(cursor);
      if (ranks) this.readAhead(group, cursor);
      if (cursor.loading && !cursor.unreadable && cursor.readAhead < MAX_LOOKAHEAD / 2) return false;
      const top = ranks ? cursor.lookahead.top : DEFAULT_PRIORITY;
      if (top > highest) [first, highest] = [place, top];
    }
    // A block that was read for one of the others is not kept until its turn comes.
    for (const cursor of ranked) if (cursor !== ranked[first]) cursor.loaded = undefined;
    if (first > 0) queue.unshift(...queue.splice(first, 1));
    return true;
  }

  private readAhead(group: Group, cursor: Cursor): void {
    const { lookahead, partition } = cursor;
    for (let looked = 0; looked < MAX_LOOKAHEAD; looked++) {
      if (lookahead.size >= MAX_LOOKAHEAD || !cursor.hasUnread) return;
      const offset = cursor.next;
      const position = partition.index.get(offset);
      const block = this.admit(group, cursor, offset, position);
      if (block === 'loading') return;
      cursor.next += 1;
      if (block === 'skipped' || (cursor.heldBack.size > 0 && this.isHeldBack(cursor, offset))) continue;
      lookahead.add(offset, recordAt.priority(block, position));
    }
  }

  /** The same for a partition that has messages of several priorities. A strict group looks at its other partitions before it takes lower ones. */
  private deliverByPriority(group: Group, cursor: Cursor, limit: number, now: number): number | 'no-room' {
    const { lookahead, partition } = cursor;
    this.readAhead(group, cursor);
    const least = group.ranksStrictly ? lookahead.top : 0;
    for (let delivered = 0; ; delivered++) {
      this.readAhead(group, cursor);
      const isTurn = delivered < limit && lookahead.top >= least;
      const offset = isTurn ? lookahead.take(group.priorities) : undefined;
      if (offset === undefined) return delivered;
      const position = partition.index.get(offset);
      const block = this.blocks.of(cursor, offset, position);
      const priority = block ? recordAt.priority(block, position) : 9;
      if (block && this.expire(cursor, offset, block, position, now)) continue;
      const takers = block && this.takersOf(group, cursor, block, position);
      if (takers && this.isForOthers(group, cursor, offset, takers, block, position)) continue;
      const member = block && group.nextWithRoom(takers);
      if (!block || !member) {
        // Its own block is read back at the moment: it goes first then, whatever its priority.
        lookahead.putBack(offset, priority);
        return block ? 'no-room' : delivered;
      }
      this.deliver(member, cursor, offset, FIRST_TRY, block, position, now);
    }
  }

  /** The block of a message that the group is to have; `skipped` when it is not, and is settled by that. */
  private admit(
    group: Group,
    cursor: Cursor,
    offset: number,
    position: number,
  ): Block | 'skipped' | 'loading' {
    if (cursor.settled.isSettled(offset)) return 'skipped';
    const block = position < 0 ? undefined : this.blocks.of(cursor, offset, position);
    if (position >= 0 && !block) return 'loading';
    if (block && !this.isFiltered(group, cursor, block, position)) return block;
    this.skip(cursor, offset);
    return 'skipped';
  }

  /** Who takes a message that the group takes; undefined: all of its members. */
  private takersOf(group: Group, cursor: Cursor, block: Block, position: number): Interest[] | undefined {
    const { partition, isRetry } = cursor;
    const { interests } = group;
    if (!isRetry && !interests.differ && !interests.tagsOf(partition.topic.name)) return undefined;
    const topic = isRetry ? originOf(block, position) : partition.topic.name;
    if (topic === undefined) return undefined;
    const takers = interests.takersOf(topic, recordAt.tag(block, position));
    return takers.length === interests.all.length ? undefined : takers;
  }

  /** The same for one that is read in its turn: it was filtered by tag, but for a retry. */
  private takersOfNew(group: Group, cursor: Cursor, block: Block, position: number): Interest[] | undefined {
    return cursor.isRetry || group.interests.differ
      ? this.takersOf(group, cursor, block, position)
      : undefined;
  }

  /** A message read in its turn that nobody takes is given up, and one of which the takers have no room waits for them while the others go on. */
  private isForOthers(
    group: Group,
    cursor: Cursor,
    offset: number,
    takers: readonly Interest[],
    block: Block,
    position: number,
  ): boolean {
    if (takers.length === 0) return this.giveUp(cursor, offset, FIRST_TRY, block, position);
    if (group.hasRoom(takers) || !group.hasRoom()) return false;
    group.reserve(takers, { cursor, offset, ...FIRST_TRY });
    return true;
  }

  /** It was put off or given back meanwhile: it is not passed over in silence. */
  private giveUp(cursor: Cursor, offset: number, tries: Tries, block: Block, position: number): true {
    const { topic } = cursor.partition;
    const read = readRecord(block, position, topic.name);
    const { message: stored, attempt, history } = asDelivered(read, tries);
    this.host.unwanted(cursor, offset, { stored, attempt: attempt - 1, history });
    return true;
  }

  /** Whether the message outlived its time to live; then it is a dead letter from now on. */
  private expire(cursor: Cursor, offset: number, block: Block, position: number, now: number): boolean {
    if (!this.hasExpired(block, position, now)) return false;
    this.host.expired(cursor, offset, readRecord(block, position, cursor.partition.topic.name).message);
    return true;
  }

  /** Settles a message that the group does not take. */
  private skip(cursor: Cursor, offset: number): void {
    cursor.settle(offset);
    if (cursor.group.mode === 'shared') {
      this.host.pendingAcks.note(cursor, offset);
    }
  }

  private isFiltered(group: Group, cursor: Cursor, block: Block, position: number): boolean {
    if (cursor.isRetry) return false;
    const filter = group.interests.tagsOf(cursor.partition.topic.name);
    if (!filter) return false;
    if (!filter.hashes.has(recordAt.tagHash(block, position))) return true;
    return !filter.names.has(recordAt.tag(block, position));
  }

  private hasExpired(block: Block, position: number, now: number): boolean {
    const ttlMs = recordAt.ttlMs(block, position);
    return ttlMs > 0 && now >= recordAt.storedAtMs(block, position) + ttlMs;
  }

  /** Whether no earlier message of the same key is unsettled; if one is, this one queues up behind it. */
  private enterLane(group: Group, cursor: Cursor, offset: number, block: Block, position: number): boolean {
    const key = recordAt.key(block, position);
    return key === undefined || group.lanes.enter(topicOf(cursor, block, position), key, cursor, offset);
  }

  private leaveLane(group: Group, cursor: Cursor, offset: number, block: Block, position: number): void {
    if (group.order !== 'by-key') return;
    const key = recordAt.key(block, position);
    if (key !== undefined) group.lanes.free(topicOf(cursor, block, position), key, cursor, offset);
  }

  /** Whether it was tried before the broker or the group stopped: then it goes on from there, after its wait. */
  private isHeldBack(cursor: Cursor, offset: number): boolean {
    const held = cursor.heldBack.get(offset);
    if (!held) return false;
    cursor.group.putOff({ cursor, offset, ...held });
    this.host.dueAt(held.dueAtMs);
    return true;
  }

  private deliver(
    member: Consumer,
    cursor: Cursor,
    offset: number,
    tries: Tries,
    block: Block,
    position: number,
    now: number,
  ): void {
    const id = member.nextDeliveryId();
    this.deliveries += 1;
    const delivery = new Delivery(id, member, cursor, offset, tries, block, position);
    delivery.deadlineMs = this.pumpedAtMs + member.leaseMs;
    try {
      delivery.check();
    } catch (error) {
      return this.host.undecodable(cursor, offset, error);
    }
    member.take(delivery, this.sharedReads);
    this.host.dueAt(now + member.leaseMs);
    if (member.atMostOnce) this.skipDelivered(cursor, offset);
    this.host.trace.addRecord(position, DELIVERED, now, member.actor);
  }

  private skipDelivered(cursor: Cursor, offset: number): void {
    if (!cursor.settle(offset)) return;
    this.host.pendingAcks.note(cursor, offset);
  }
}

const goesByPriority = ({ readAhead, partition, group }: Cursor): boolean =>
  readAhead > 0 || (partition.hasPriorities && group.order === 'unordered');

/** What a message is of, and where its key waits in order: a retried one is of the topic that it came from. */
const topicOf = (cursor: Cursor, block: Block, position: number): string =>
  (cursor.isRetry ? originOf(block, position) : undefined) ?? cursor.partition.topic.name;

/** Undefined as well when the record makes no sense: whoever it is delivered to stumbles over that, and it is told. */
function originOf(block: Block, position: number): string | undefined {
  try {
    return provenanceOf(block, position)?.origin.topic;
  } catch {
    return undefined;
  }
}
