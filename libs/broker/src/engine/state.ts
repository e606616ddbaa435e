import { MessagingError, retryTopic } from '#libs/messaging/port';
import { Audit, type Audited } from '../audit/audit.js';
import { DeadLetters } from '../dead-letters/dead-letters.js';
import {
  applyAcked,
  applyCursorsCreated,
  applyHeldBack,
  applyInterests,
  applyMissed,
  applyReset,
  applyUndecodable,
  settleMoved,
} from '../groups/cursor-entries.js';
import type { Group } from '../groups/group.js';
import { Groups } from '../groups/groups.js';
import type { Block } from '../journal/block.js';
import { ENTRY_HEADER_BYTES, EntryType, entryTypeName } from '../journal/format.js';
import type { FoundEntry } from '../journal/scan.js';
import { Sequences } from '../producers/sequences.js';
import { isStamp, readStamp } from '../producers/stamp.js';
import { type FiredTimer, readFired } from '../timers/fired-entry.js';
import { timerHandleOf } from '../timers/handles.js';
import { Recalls } from '../timers/recalls.js';
import { TimerStore, hashOfPosition } from '../timers/timer-store.js';
import { hashOfIdAt } from '../topics/id-hash.js';
import { RecentIds } from '../topics/recent-ids.js';
import { provenanceOf } from '../topics/provenance.js';
import { DEFAULT_PRIORITY, NO_PARTITION, endOfRecord, positionsOf, recordAt } from '../topics/record.js';
import { hashOf } from '../topics/text-hash.js';
import { type Partition, type Topic, Topics } from '../topics/topics.js';
import { type TransactionOptions, Transactions } from '../transactions/transactions.js';
import type { Facts } from './facts.js';
import { beginWhereGroupsAre, mergeSnapshot } from './lost-messages.js';
import { removeGroup, removeTopic } from './removing.js';
import { type Snapshot, restoreSnapshot } from './snapshot.js';
import type { Stores } from './stores.js';

export type StateOptions = {
  deduplication: { windowMs: number; maxIds: number };
  transactions: TransactionOptions;
  now: () => number;
  wake: (group: Group) => void;
  touched: (partition: Partition) => void;
};

/**
 * All that the broker knows, as a fold over the journal's entries: `apply` is the only way in which it
 * changes for good, live and at recovery alike. (Settling an offset is the one thing that live code
 * does first and records afterwards, because acks are recorded in batches.)
 */
export class BrokerState implements Stores {
  readonly topics = new Topics();
  readonly groups: Groups;
  readonly timers = new TimerStore();
  readonly recalls = new Recalls();
  readonly transactions: Transactions;
  readonly deadLetters = new DeadLetters();
  readonly audit = new Audit();
  readonly sequences = new Sequences();
  readonly recentIds: RecentIds;
  /** True once a damaged range was left out: from there on offsets may be missing, and entries may refer to what was in it. */
  hasGap = false;
  /** Entries and messages that could not be applied because the topic or group they name was made in a damaged range. */
  unplaced = 0;

  constructor(private readonly options: StateOptions) {
    this.groups = new Groups(options.wake);
    this.transactions = new Transactions(options.transactions);
    this.recentIds = new RecentIds(
      options.deduplication.windowMs,
      options.deduplication.maxIds,
      options.now(),
    );
  }

  /** Applies an entry found at recovery. */
  replay(entry: FoundEntry): void {
    const { block, at, length, position } = entry;
    const bodyAt = at + ENTRY_HEADER_BYTES;
    const end = position + length;
    // Only the first one of a journal says something new, or one behind a gap.
    if (entry.type === EntryType.SNAPSHOT && !this.isEmpty && !this.hasGap) return;
    if (entry.type === EntryType.ACKED) return applyAcked(this, block, position + ENTRY_HEADER_BYTES, end);
    if (entry.type === EntryType.TIMERS_FIRED)
      return this.orUnplaced(() => {
        const { timers, recordsFrom } = readFired(block, position + ENTRY_HEADER_BYTES);
        this.applyFired(timers, block, recordsFrom, end);
      });
    const factsLength = block.view.getUint32(bodyAt, true);
    const text = block.bytes.toString('utf8', bodyAt + 4, bodyAt + 4 + factsLength);
    const facts: unknown = factsLength === 0 ? undefined : JSON.parse(text);
    const from = position + ENTRY_HEADER_BYTES + 4 + factsLength;
    this.orUnplaced(() => this.apply(entry.type, facts, block, from, end));
  }

  /** `from` and `to`: journal positions between which the entry's records lie in `block`. */
  apply(type: number, facts: unknown, block: Block, from: number, to: number): void {
    const note = (facts as Audited | undefined)?.audit;
    if (note) this.audit.note(note);
    switch (type) {
      case EntryType.MESSAGES:
        return this.applyRecords(block, from, to, true);
      case EntryType.MOVED:
        settleMoved(this, facts as Facts['moved']);
        return this.applyRecords(block, from, to, false);
      case EntryType.TIMERS_FIRED_JSON:
        for (const [hash, position] of (facts as Facts['timersFired']).timers)
          this.timers.remove(hash, position);
        return this.applyDue(block, from, to);
      case EntryType.TIMERS_MOVED: {
        const { timers } = facts as Facts['timersMoved'];
        return this.applyCarried(
          { timers, letters: [], transactions: [] },
          positionsOf(block, from, to),
          block,
        );
      }
      case EntryType.PREPARED:
        return this.transactions.prepared(facts as Facts['prepared'], positionsOf(block, from, to));
      case EntryType.CARRIED:
        return this.applyCarried(facts as Facts['carried'], positionsOf(block, from, to), block);
      case EntryType.DECIDED: {
        const { id, decision } = facts as Facts['decided'];
        this.transactions.conclude(id, decision);
        return this.applyRecords(block, from, to, true);
      }
      case EntryType.REDRIVEN: {
        const { group, id, offset } = facts as Facts['redriven'];
        this.deadLetters.remove(group, id, offset);
        return this.applyRecords(block, from, to, false);
      }
      default:
        return this.applyFacts(type, facts, from);
    }
  }

  /** Entries that have no records. */
  private applyFacts(type: number, facts: unknown, from: number): void {
    switch (type) {
      case EntryType.TOPIC_CREATED:
        this.topics.create(facts as Facts['topicCreated'], from);
        return;
      case EntryType.GROUP_CREATED:
        this.groups.create(facts as Facts['groupCreated'], from);
        return;
      case EntryType.SNAPSHOT:
        if (!this.isEmpty) {
          if (this.hasGap) mergeSnapshot(this, facts as Snapshot);
          return;
        }
        restoreSnapshot(this, facts as Snapshot);
        if (this.hasGap) beginWhereGroupsAre(this);
        return;
      case EntryType.CURSORS_CREATED:
        return applyCursorsCreated(this, facts as Facts['cursorsCreated']);
      case EntryType.INTERESTS:
        return applyInterests(this, facts as Facts['interests']);
      case EntryType.HELD_BACK:
        return applyHeldBack(this, facts as Facts['heldBack']);
      case EntryType.TIMER_RECALLED: {
        const { hash, position, handle, topicId } = facts as Facts['timerRecalled'];
        this.timers.remove(hash, position);
        if (handle !== undefined) this.recalls.add(handle, topicId, from);
        return;
      }
      case EntryType.CHECKED:
        return this.transactions.checked(facts as Facts['checked']);
      case EntryType.GROUP_RESET:
        return applyReset(this, facts as Facts['groupReset']);
      case EntryType.MISSED:
        return applyMissed(this, facts as Facts['missed']);
      case EntryType.UNDECODABLE:
        return applyUndecodable(this, facts as Facts['undecodable']);
      case EntryType.PRODUCER_OPENED:
        return this.sequences.open(facts as Facts['producerOpened']);
      case EntryType.GROUP_DELETED:
        return removeGroup(this, (facts as Facts['groupDeleted']).groupId);
      case EntryType.TOPIC_DELETED:
        return removeTopic(this, this.topics.byTopicId((facts as Facts['topicDeleted']).topicId));
      case EntryType.LETTER_EDITED: {
        const { group, offset } = facts as Facts['letterEdited'];
        // The record is the letter's from now on; what is in its topic stays as it died.
        return this.deadLetters.carried(group, offset, from);
      }
      case EntryType.DISCARDED: {
        const { group, id, offset } = facts as Facts['discarded'];
        this.deadLetters.remove(group, id, offset);
        return;
      }
      case EntryType.DEAD_LETTERS_DROPPED: {
        const { group, before } = facts as Facts['deadLettersDropped'];
        this.deadLetters.dropBefore(group, before);
        return;
      }
      default:
        throw new MessagingError(
          'LOG_CORRUPT',
          `${entryTypeName(type)} before position ${from}: a newer broker wrote this log`,
        );
    }
  }

  private get isEmpty(): boolean {
    return this.topics.isEmpty && this.groups.isEmpty;
  }

  private applyRecords(block: Block, from: number, to: number, remember: boolean): void {
    const { now, deduplication } = this.options;
    const recentSince = remember ? now() - 2 * deduplication.windowMs : Infinity;
    for (let position = from; position < to; position = endOfRecord(block, position, to)) {
      if (isStamp(block, position)) {
        this.sequences.stored(readStamp(block, position), position);
        continue;
      }
      const isRecent = recordAt.storedAtMs(block, position) >= recentSince;
      if (this.hasGap)
        this.orUnplaced(() => this.applyRecord(block, position, this.idHashAt(block, position, isRecent)));
      else this.applyRecord(block, position, this.idHashAt(block, position, isRecent));
    }
  }

  private idHashAt(block: Block, position: number, isRecent: boolean): number | undefined {
    if (!isRecent) return undefined;
    const topic = this.topics.byTopicId(recordAt.topicId(block, position));
    if (topic.deadLettersOf === undefined) return hashOfIdAt(block, position, topic.id);
    // Its topic was full: it is sought as a message of that one.
    const origin = this.topics.get(provenanceOf(block, position)?.origin.topic ?? '');
    return hashOfIdAt(block, position, (origin ?? topic).id);
  }

  /** Behind a gap, what refers to something in it is counted instead of refused. */
  orUnplaced(apply: () => void): void {
    if (!this.hasGap) return apply();
    try {
      apply();
    } catch (error) {
      if (!(error instanceof MessagingError && error.code === 'LOG_CORRUPT')) throw error;
      this.unplaced += 1;
    }
  }

  /** A record that counts from now on: as a message of a partition, or as a timer. `idHash` when its id is to be remembered. */
  applyRecord(block: Block, position: number, idHash: number | undefined): void {
    const topic = this.topics.byTopicId(recordAt.topicId(block, position));
    const number = recordAt.partition(block, position);
    if (idHash !== undefined) this.recentIds.add(idHash, position, recordAt.storedAtMs(block, position));
    if (number === NO_PARTITION) return this.applyTimer(block, position, topic);
    const partition = topic.partitions[number];
    const offset = recordAt.offset(block, position);
    if (!partition || offset !== partition.end) {
      const canSkip = partition && this.hasGap && offset > partition.end;
      if (!canSkip)
        throw new MessagingError(
          'LOG_CORRUPT',
          `${topic.name}/${number}: offset ${offset} at position ${position} is not the next one`,
        );
      while (partition.end < offset) partition.index.pushHole();
    }
    partition.index.push(position);
    if (recordAt.hasTimerId(block, position)) this.recalls.reused(timerHandleOf(block, position), topic.id);
    if (topic.limit?.maxBytes !== undefined) partition.countBytes(recordAt.length(block, position));
    if (topic.deadLettersOf !== undefined) {
      this.applyDeadLetter(topic.deadLettersOf, block, position, offset);
    }
    if (recordAt.priority(block, position) !== DEFAULT_PRIORITY) partition.hasPriorities = true;
    this.options.touched(partition);
  }

  private applyDeadLetter(group: string, block: Block, position: number, offset: number): void {
    const provenance = provenanceOf(block, position);
    if (!provenance?.deadLetter) return;
    const { reason, kind, atMs } = provenance.deadLetter;
    const tag = recordAt.tag(block, position);
    const cause = { topic: provenance.origin.topic, tag, reason, ...(kind && { kind }) };
    this.deadLetters.add(group, {
      id: recordAt.id(block, position),
      offset,
      position,
      origin: { partition: provenance.origin.partition, offset: provenance.origin.offset },
      atMs,
      automaticRedrives: provenance.automaticRedrives ?? 0,
      cause,
    });
  }

  private applyTimer(block: Block, position: number, topic: Topic): void {
    const isRetry = recordAt.isRetry(block, position);
    const dueAtMs = recordAt.deliverAtMs(block, position);
    if (isRetry) {
      this.timers.set(hashOfPosition(position), position, dueAtMs);
      return this.countWaitingRetry(topic, 1);
    }
    const handle = timerHandleOf(block, position);
    this.timers.set(hashOf(handle), position, dueAtMs);
    this.recalls.reused(handle, topic.id);
  }

  private applyCarried(
    { timers, letters, transactions }: Facts['carried'],
    positions: readonly number[],
    block: Block,
  ): void {
    let next = 0;
    for (const [hash, from] of timers) {
      const position = positions[next++]!;
      const wasKnown = this.timers.remove(hash, from);
      const isRetry = recordAt.isRetry(block, position);
      const dueAtMs = recordAt.deliverAtMs(block, position);
      this.timers.set(isRetry ? hashOfPosition(position) : hash, position, dueAtMs);
      if (isRetry && !wasKnown)
        this.countWaitingRetry(this.topics.byTopicId(recordAt.topicId(block, position)), 1);
    }
    for (const [group, offset] of letters) this.deadLetters.carried(group, offset, positions[next++]!);
    for (const { messages, ...transaction } of transactions)
      this.transactions.carried(transaction, positions.slice(next, (next += messages)));
  }

  private countWaitingRetry({ name, isDeleted }: Topic, change: 1 | -1): void {
    // A group of the same name may be there by now.
    if (isDeleted) return;
    const group = this.groups.get(name.slice(retryTopic('').length));
    if (group) group.waitingRetries = Math.max(0, group.waitingRetries + change);
  }

  /** `from` and `to`: journal positions between which the entry's records lie in `block`. */
  applyFired(timers: readonly FiredTimer[], block: Block, from: number, to: number): void {
    for (const { hash, position } of timers) this.timers.remove(hash, position);
    this.applyDue(block, from, to);
  }

  private applyDue(block: Block, from: number, to: number): void {
    for (const position of positionsOf(block, from, to)) {
      if (!recordAt.isRetry(block, position)) continue;
      this.countWaitingRetry(this.topics.byTopicId(recordAt.topicId(block, position)), -1);
    }
    this.applyRecords(block, from, to, false);
  }
}
