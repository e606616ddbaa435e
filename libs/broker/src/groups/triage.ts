import { type StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { Journal } from '../journal/journal.js';
import type { Cursor } from '../positions/cursor.js';
import type { PendingAcks } from '../positions/pending-acks.js';
import { FIRST_TRY, type Tries } from '../positions/tries.js';
import { provenanceOf } from '../topics/provenance.js';
import { readRecord } from '../topics/read-message.js';
import { recordAt } from '../topics/record.js';
import { type Trace, stepNumber } from '../trace/trace.js';
import { asDelivered } from './as-delivered.js';
import type { BlockReads } from './block-reads.js';
import type { Consumer } from './consumer.js';
import { Delivery } from './delivery.js';
import type { Group } from './group.js';
import type { Interest } from './interests.js';
import { SharedReads } from './shared-reads.js';

/** What deliveries need of the engine. */
export interface DispatchHost {
  readonly journal: Journal;
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

/**
 * What becomes of a message when its turn has come: it is not for the group, or for members that have no room; it is too
 * old, or waits behind its key; or it is delivered.
 */
export class Triage {
  /** Of the round at hand. */
  nowMs = 0;
  /** The same in the milliseconds of leases. */
  private leasesFromMs = 0;
  /** Deliveries made so far. */
  deliveries = 0;
  private readonly sharedReads = new SharedReads();

  constructor(
    private readonly host: DispatchHost,
    private readonly blocks: BlockReads,
  ) {}

  beginRound(): void {
    this.nowMs = this.host.now();
    this.leasesFromMs = this.host.monotonicMs();
  }

  /** The block of a message that the group is to have; `skipped` when it is not, and is settled by that. */
  admit(group: Group, cursor: Cursor, offset: number, position: number): Block | 'skipped' | 'loading' {
    if (cursor.settled.isSettled(offset)) return 'skipped';
    const block = position < 0 ? undefined : this.blocks.of(cursor, offset, position);
    if (position >= 0 && !block) return 'loading';
    if (block && !this.isFiltered(group, cursor, block, position)) return block;
    this.host.pendingAcks.settle(cursor, offset);
    return 'skipped';
  }

  private isFiltered(group: Group, cursor: Cursor, block: Block, position: number): boolean {
    if (cursor.isRetry) return false;
    const filter = group.interests.tagsOf(cursor.partition.topic.name);
    if (!filter) return false;
    if (!filter.hashes.has(recordAt.tagHash(block, position))) return true;
    return !filter.names.has(recordAt.tag(block, position));
  }

  /** Who takes a message that the group takes; undefined: all of its members. */
  takersOf(group: Group, cursor: Cursor, block: Block, position: number): Interest[] | undefined {
    const { partition, isRetry } = cursor;
    const { interests } = group;
    if (!isRetry && !interests.differ && !interests.tagsOf(partition.topic.name)) return undefined;
    const topic = isRetry ? originOf(block, position) : partition.topic.name;
    if (topic === undefined) return undefined;
    const takers = interests.takersOf(topic, recordAt.tag(block, position));
    return takers.length === interests.all.length ? undefined : takers;
  }

  /** The same for one that is read in its turn: it was filtered by tag, but for a retry. */
  takersOfNew(group: Group, cursor: Cursor, block: Block, position: number): Interest[] | undefined {
    return cursor.isRetry || group.interests.differ
      ? this.takersOf(group, cursor, block, position)
      : undefined;
  }

  /** A message read in its turn that nobody takes is given up, and one of which the takers have no room waits for them while the others go on. */
  isForOthers(
    group: Group,
    cursor: Cursor,
    offset: number,
    takers: readonly Interest[],
    block: Block,
    position: number,
  ): boolean {
    if (takers.length === 0) return this.giveUp(cursor, offset, FIRST_TRY, block, position);
    if (group.turns.hasRoom(takers) || !group.turns.hasRoom()) return false;
    group.reserve(takers, { cursor, offset, ...FIRST_TRY });
    return true;
  }

  /** It was put off or given back meanwhile: it is not passed over in silence. */
  giveUp(cursor: Cursor, offset: number, tries: Tries, block: Block, position: number): true {
    const { topic } = cursor.partition;
    const read = readRecord(block, position, topic.name);
    const { message: stored, attempt, history } = asDelivered(read, tries);
    this.host.unwanted(cursor, offset, { stored, attempt: attempt - 1, history });
    return true;
  }

  /** Whether the message outlived its time to live; then it is a dead letter from now on. */
  expire(cursor: Cursor, offset: number, block: Block, position: number): boolean {
    if (!this.hasExpired(block, position)) return false;
    this.host.expired(cursor, offset, readRecord(block, position, cursor.partition.topic.name).message);
    return true;
  }

  hasExpired(block: Block, position: number): boolean {
    const ttlMs = recordAt.ttlMs(block, position);
    return ttlMs > 0 && this.nowMs >= recordAt.storedAtMs(block, position) + ttlMs;
  }

  /** Whether no earlier message of the same key is unsettled; if one is, this one queues up behind it. */
  enterLane(group: Group, cursor: Cursor, offset: number, block: Block, position: number): boolean {
    const key = recordAt.key(block, position);
    return key === undefined || group.lanes.enter(topicOf(cursor, block, position), key, cursor, offset);
  }

  leaveLane(group: Group, cursor: Cursor, offset: number, block: Block, position: number): void {
    if (group.order !== 'by-key') return;
    const key = recordAt.key(block, position);
    if (key !== undefined) group.lanes.free(topicOf(cursor, block, position), key, cursor, offset);
  }

  /** Whether it was tried before the broker or the group stopped: then it goes on from there, after its wait. */
  isHeldBack(cursor: Cursor, offset: number): boolean {
    const held = cursor.heldBack.get(offset);
    if (!held) return false;
    cursor.group.putOff({ cursor, offset, ...held });
    this.host.dueAt(held.dueAtMs);
    return true;
  }

  deliver(
    member: Consumer,
    cursor: Cursor,
    offset: number,
    tries: Tries,
    block: Block,
    position: number,
  ): void {
    const id = member.nextDeliveryId();
    this.deliveries += 1;
    const delivery = new Delivery(id, member, cursor, offset, tries, block, position);
    delivery.deadlineMs = this.leasesFromMs + member.leaseMs;
    try {
      delivery.check();
    } catch (error) {
      return this.host.undecodable(cursor, offset, error);
    }
    member.take(delivery, this.sharedReads);
    this.host.dueAt(this.nowMs + member.leaseMs);
    if (member.atMostOnce) this.host.pendingAcks.settle(cursor, offset);
    this.host.trace.addRecord(position, DELIVERED, this.nowMs, member.actor);
  }
}

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
