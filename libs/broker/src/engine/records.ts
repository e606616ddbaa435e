import { MessagingError, retryTopic } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import { isStamp, readStamp } from '../producers/stamp.js';
import type { FiredTimer } from '../timers/fired-entry.js';
import { hashOfPosition, timerHandleOf, timerHashAt } from '../timers/handles.js';
import { hashOfIdAt } from '../topics/id-hash.js';
import { provenanceOf } from '../topics/provenance.js';
import { DEFAULT_PRIORITY, NO_PARTITION, endOfRecord, positionsOf, recordAt } from '../topics/record.js';
import type { Partition, Topic } from '../topics/topics.js';
import type { Facts } from './facts.js';
import type { Gap } from './gap.js';
import type { Stores } from './stores.js';

export type RecordOptions = {
  deduplication: { windowMs: number };
  now: () => number;
  /** A partition has more messages. */
  touched: (partition: Partition) => void;
};

/** What an entry's message records change: partitions, timers, dead letters, and the ids that are known. */
export class Records {
  constructor(
    private readonly stores: Stores,
    private readonly gap: Gap,
    private readonly options: RecordOptions,
  ) {}

  /** `sent`: they are new here, and known by their ids from now on, unless they are old. `moved`: they were somewhere before. */
  apply(block: Block, from: number, to: number, kind: 'sent' | 'moved'): void {
    const { now, deduplication } = this.options;
    const recentSince = kind === 'sent' ? now() - 2 * deduplication.windowMs : Infinity;
    for (let position = from; position < to; position = endOfRecord(block, position, to)) {
      if (isStamp(block, position)) {
        this.stores.sequences.stored(readStamp(block, position), position);
        continue;
      }
      const isRecent = recordAt.storedAtMs(block, position) >= recentSince;
      if (this.gap.isThere)
        this.gap.orUnplaced(() => this.applyOne(block, position, this.idHashAt(block, position, isRecent)));
      else this.applyOne(block, position, this.idHashAt(block, position, isRecent));
    }
  }

  private idHashAt(block: Block, position: number, isRecent: boolean): number | undefined {
    if (!isRecent) return undefined;
    const topic = this.stores.topics.byTopicId(recordAt.topicId(block, position));
    if (topic.deadLettersOf === undefined) return hashOfIdAt(block, position, topic.id);
    // Its topic was full: it is sought as a message of that one.
    const origin = this.stores.topics.get(provenanceOf(block, position)?.origin.topic ?? '');
    return hashOfIdAt(block, position, (origin ?? topic).id);
  }

  /** A record that counts from now on: as a message of a partition, or as a timer. `idHash` when its id is to be remembered. */
  applyOne(block: Block, position: number, idHash: number | undefined): void {
    const topic = this.stores.topics.byTopicId(recordAt.topicId(block, position));
    const number = recordAt.partition(block, position);
    if (idHash !== undefined)
      this.stores.recentIds.add(idHash, position, recordAt.storedAtMs(block, position));
    if (number === NO_PARTITION) return this.applyTimer(block, position, topic);
    const partition = topic.partitions[number];
    const offset = recordAt.offset(block, position);
    if (!partition || offset !== partition.end) {
      const canSkip = partition && this.gap.isThere && offset > partition.end;
      if (!canSkip)
        throw new MessagingError(
          'LOG_CORRUPT',
          `${topic.name}/${number}: offset ${offset} at position ${position} is not the next one`,
        );
      while (partition.end < offset) partition.index.pushHole();
    }
    partition.index.push(position);
    if (recordAt.hasTimerId(block, position))
      this.stores.recalls.reused(timerHandleOf(block, position), topic.id);
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
    this.stores.deadLetters.add(group, {
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
    const { timers, recalls } = this.stores;
    timers.set(timerHashAt(block, position), position, recordAt.deliverAtMs(block, position));
    if (recordAt.isRetry(block, position)) return this.countWaitingRetry(topic, 1);
    if (!recalls.isEmpty) recalls.reused(timerHandleOf(block, position), topic.id);
  }

  applyCarried(
    { timers, letters, transactions }: Facts['carried'],
    positions: readonly number[],
    block: Block,
  ): void {
    let next = this.applyCarriedTimers(timers, positions, block);
    for (const [group, offset] of letters) this.stores.deadLetters.carried(group, offset, positions[next++]!);
    for (const { messages, ...transaction } of transactions)
      this.stores.transactions.carried(transaction, positions.slice(next, (next += messages)));
  }

  /** The answer is how many that were: their records are the first of the entry. */
  applyCarriedTimers(
    timers: Facts['timersMoved']['timers'],
    positions: readonly number[],
    block: Block,
  ): number {
    let next = 0;
    for (const [hash, from] of timers) {
      const position = positions[next++]!;
      const wasKnown = this.stores.timers.remove(hash, from);
      const isRetry = recordAt.isRetry(block, position);
      const dueAtMs = recordAt.deliverAtMs(block, position);
      this.stores.timers.set(isRetry ? hashOfPosition(position) : hash, position, dueAtMs);
      if (isRetry && !wasKnown)
        this.countWaitingRetry(this.stores.topics.byTopicId(recordAt.topicId(block, position)), 1);
    }
    return next;
  }

  private countWaitingRetry({ name, isDeleted }: Topic, change: 1 | -1): void {
    // A group of the same name may be there by now.
    if (isDeleted) return;
    const group = this.stores.groups.get(name.slice(retryTopic('').length));
    if (group) group.waitingRetries = Math.max(0, group.waitingRetries + change);
  }

  /** `from` and `to`: journal positions between which the entry's records lie in `block`. */
  applyFired(timers: readonly FiredTimer[], block: Block, from: number, to: number): void {
    for (const { hash, position } of timers) this.stores.timers.remove(hash, position);
    this.applyDue(block, from, to);
  }

  private applyDue(block: Block, from: number, to: number): void {
    for (const position of positionsOf(block, from, to)) {
      if (!recordAt.isRetry(block, position)) continue;
      this.countWaitingRetry(this.stores.topics.byTopicId(recordAt.topicId(block, position)), -1);
    }
    this.apply(block, from, to, 'moved');
  }
}
