import { MessagingError } from '#libs/messaging/port';
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
import { type FoundEntry, bodyOf } from '../journal/scan.js';
import { Sequences } from '../producers/sequences.js';
import { readFired } from '../timers/fired-entry.js';
import { Recalls } from '../timers/recalls.js';
import { TimerStore } from '../timers/timer-store.js';
import { RecentIds } from '../topics/recent-ids.js';
import { positionsOf } from '../topics/record.js';
import { type Partition, Topics } from '../topics/topics.js';
import { type TransactionOptions, Transactions } from '../transactions/transactions.js';
import type { Facts } from './facts.js';
import { Gap } from './gap.js';
import { beginWhereGroupsAre, mergeSnapshot } from './lost-messages.js';
import { Records } from './records.js';
import { removeGroup, removeTopic } from './removing.js';
import { type Snapshot, restoreSnapshot } from './snapshot.js';
import type { Stores } from './stores.js';

export type StateOptions = {
  deduplication: { windowMs: number; maxIds: number };
  transactions: TransactionOptions;
  timerHorizonMs: number;
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
  readonly timers: TimerStore;
  readonly recalls = new Recalls();
  readonly transactions: Transactions;
  readonly deadLetters = new DeadLetters();
  readonly audit = new Audit();
  readonly sequences = new Sequences();
  readonly recentIds: RecentIds;
  readonly gap = new Gap();
  readonly records: Records;

  constructor(options: StateOptions) {
    this.groups = new Groups(options.wake);
    this.timers = new TimerStore(options.now(), options.timerHorizonMs);
    this.transactions = new Transactions(options.transactions);
    this.recentIds = new RecentIds(
      options.deduplication.windowMs,
      options.deduplication.maxIds,
      options.now(),
    );
    this.records = new Records(this, this.gap, options);
  }

  /** Applies an entry found at recovery. */
  replay(entry: FoundEntry): void {
    const { block, length, position } = entry;
    const end = position + length;
    // Only the first one of a journal says something new, or one behind a gap.
    if (entry.type === EntryType.SNAPSHOT && !this.isEmpty && !this.gap.isThere) return;
    if (entry.type === EntryType.ACKED) return applyAcked(this, entry);
    if (entry.type === EntryType.TIMERS_FIRED)
      return this.gap.orUnplaced(() => {
        const { timers, recordsFrom } = readFired(block, position + ENTRY_HEADER_BYTES);
        this.records.applyFired(timers, block, recordsFrom, end);
      });
    const { facts, recordsFrom } = bodyOf(entry);
    this.gap.orUnplaced(() => this.apply(entry.type, facts, block, recordsFrom, end));
  }

  /** `from` and `to`: journal positions between which the entry's records lie in `block`. */
  apply(type: number, facts: unknown, block: Block, from: number, to: number): void {
    const note = (facts as Audited | undefined)?.audit;
    if (note) this.audit.note(note);
    switch (type) {
      case EntryType.MESSAGES:
        return this.records.apply(block, from, to, 'sent');
      case EntryType.MOVED:
        settleMoved(this, facts as Facts['moved']);
        return this.records.apply(block, from, to, 'moved');
      case EntryType.TIMERS_MOVED: {
        const { timers } = facts as Facts['timersMoved'];
        this.records.applyCarriedTimers(timers, positionsOf(block, from, to), block);
        return;
      }
      case EntryType.PREPARED:
        return this.transactions.prepared(facts as Facts['prepared'], positionsOf(block, from, to));
      case EntryType.CARRIED:
        return this.records.applyCarried(facts as Facts['carried'], positionsOf(block, from, to), block);
      case EntryType.DECIDED: {
        const { id, decision } = facts as Facts['decided'];
        this.transactions.conclude(id, decision);
        return this.records.apply(block, from, to, 'sent');
      }
      case EntryType.REDRIVEN: {
        const { group, id, offset } = facts as Facts['redriven'];
        this.deadLetters.remove(group, id, offset);
        return this.records.apply(block, from, to, 'moved');
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
          if (this.gap.isThere) mergeSnapshot(this, facts as Snapshot);
          return;
        }
        restoreSnapshot(this, facts as Snapshot);
        if (this.gap.isThere) beginWhereGroupsAre(this);
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
        this.recalls.add(handle, topicId, from);
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
}
