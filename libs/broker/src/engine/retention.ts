import { passOver } from '../groups/missing.js';
import type { BrokerHost } from '../host.js';
import type { Segment, Segments } from '../journal/segments.js';
import type { Partition } from '../topics/topics.js';
import { CarryForward } from './carry-forward.js';
import type { Stores } from './stores.js';

export type RetentionOptions = {
  /** Segments whose newest entry is older than this may be dropped. Default 7 days. */
  maxAgeMs: number;
  /** The oldest segments may be dropped while the journal is larger than this. Default: no bound. */
  maxBytes: number;
  /**
   * What is not settled by every group: `keep` it however old it gets (default), or `drop` it when age or size says
   * so, as Kafka does. A group is told what it missed (`GroupInfo.missed`). Timers, half messages,
   * retries and dead letters are kept in either case.
   */
  unsettled: 'keep' | 'drop';
};

export const RETENTION_DEFAULTS: RetentionOptions = {
  maxAgeMs: 7 * 24 * 3_600_000,
  maxBytes: Infinity,
  unsettled: 'keep',
};

/**
 * Drops whole segments from the front of the journal when age or size allows it and nobody needs them: no
 * message in them is unsettled in any group that reads its topic. So nothing is ever dropped that somebody was promised;
 * a group that nobody consumes for keeps the journal growing, and shows as lag. Unless `unsettled: 'drop'`
 * says otherwise: then a group that is too far behind is moved on, and told what it missed. Delayed and half messages
 * and dead letters are carried forward (`carry-forward.ts`), unless they are most of their segment: it stays then.
 */
export class Retention {
  private running: Promise<void> | undefined;
  private readonly carryForward: CarryForward;

  constructor(
    private readonly host: BrokerHost & { readonly segments: Segments },
    private readonly stores: Stores,
    private readonly options: RetentionOptions,
  ) {
    this.carryForward = new CarryForward(host, stores);
  }

  /** Resolves when all that can go has gone. */
  enforce(): Promise<void> {
    this.running ??= this.dropAll().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Resolves when nothing is being dropped. */
  idle(): Promise<void> {
    return this.running ?? Promise.resolve();
  }

  private async dropAll(): Promise<void> {
    try {
      for (let oldest = this.droppable(); oldest; oldest = this.droppable()) {
        if (!(await this.carryForward.empty(oldest, this.host.segments.nextBase(oldest.base)))) return;
        // What made it droppable must be on disk first: where a retry was moved to, for one.
        await this.host.journal.flush('durable');
        if (this.droppable() !== oldest || this.owes(oldest)) return;
        await this.drop(oldest);
      }
    } catch (error) {
      this.host.report({
        message: 'an old segment could not be removed; it is tried again later',
        error,
      });
    }
  }

  /** The oldest segment, if it can go. */
  private droppable(): Segment | undefined {
    const { segments, journal } = this.host;
    const [oldest, second] = segments.all;
    // The second one must be in its file with the snapshot it begins with: it takes over as the first.
    if (!oldest || !second || journal.failed || journal.durable <= second.base) return undefined;
    const tooOld = this.host.now() - second.createdAtMs > this.options.maxAgeMs;
    const tooLarge = journal.end - oldest.base > this.options.maxBytes;
    if (!tooOld && !tooLarge) return undefined;
    return this.isNeeded(second.base) ? undefined : oldest;
  }

  /** Whether something came to wait in it that was not carried. */
  private owes(oldest: Segment): boolean {
    const { timers, transactions, deadLetters } = this.stores;
    const before = this.host.segments.nextBase(oldest.base);
    if (transactions.lowestPosition() < before || !deadLetters.before(before).next().done) return true;
    return timers.lowestPosition() < before && !timers.before(before).next().done;
  }

  private isNeeded(before: number): boolean {
    for (const topic of this.stores.topics.all()) {
      for (const partition of topic.partitions) if (this.isNeededIn(partition, before)) return true;
    }
    return false;
  }

  private isNeededIn(partition: Partition, before: number): boolean {
    const kept = partition.index.firstAtOrBehind(before, partition.start);
    if (kept === partition.start) return false;
    for (const group of this.stores.groups.everyone()) {
      const cursor = group.cursors.get(partition);
      const mayMiss = this.options.unsettled === 'drop' && !partition.topic.isInternal;
      if (cursor && !mayMiss && cursor.settled.committed < kept) return true;
    }
    return false;
  }

  private async drop(oldest: Segment): Promise<void> {
    const { topics, groups } = this.stores;
    await passOver(this.host, groups, oldest.end);
    for (const topic of topics.all()) {
      for (const partition of topic.partitions) {
        partition.dropBefore(partition.index.firstAtOrBehind(oldest.end, partition.start));
      }
    }
    await this.host.segments.dropOldest();
  }
}
