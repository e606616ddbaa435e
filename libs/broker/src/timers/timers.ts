import { MessagingError, checkDeliverAt } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { PartitionAppender } from '../topics/partition-appender.js';
import { recordAt } from '../topics/record.js';
import { hashOf } from '../topics/text-hash.js';
import { copyToTimers } from '../topics/write-record.js';
import type { Topics } from '../topics/topics.js';
import { stepNumber } from '../trace/trace.js';
import { FIRED_TIMER_BYTES, type FiredTimer, putFired } from './fired-entry.js';
import { isTimerOf, timerHashAt } from './handles.js';
import type { Recalls } from './recalls.js';
import type { DueTimer, TimerStore } from './timer-store.js';

/** Timers whose messages are read in one go: the more there are, the closer together they lie in the files. */
const MAX_READ_AT_ONCE = 10_000;
/** Timers in one entry: what the event loop does for them takes a few milliseconds. */
const MAX_ENTRY_TIMERS = 1_000;
/** Bytes of messages in one entry, unless one alone is larger. */
const MAX_ENTRY_RECORD_BYTES = 1024 * 1024;

/** Records read in one go of what comes within the horizon: small, because what is due waits for it. */
const MAX_BROUGHT_AT_ONCE = 256;

const TIMER_FIRED = stepNumber('timer-fired');

/** A message that waits, and the block that holds its record. */
type Waiting = { readonly position: number; readonly block: Block };
type Firing = { timer: DueTimer; block: Block };

type TimersStores = {
  readonly topics: Topics;
  readonly timers: TimerStore;
  readonly recalls: Recalls;
  /** Applies a `TIMERS_FIRED` entry: `from` and `to` are journal positions between which its records lie in `block`. */
  readonly records: {
    applyFired(timers: readonly FiredTimer[], block: Block, from: number, to: number): void;
  };
};

/** Delivers delayed messages when they are due, and takes them back before. */
export class Timers {
  private running: Promise<void> | undefined;
  private stopped = false;
  /** Settles when what was fired so far is in the file, or the journal has failed. */
  private written: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly host: BrokerHost,
    private readonly stores: TimersStores,
  ) {}

  /**
   * Fires what is due now, in the order of due times. A fired message is copied to the end of its partition, in
   * the same entry that takes its timer off: never both, never neither.
   */
  fireDue(): Promise<void> {
    if (this.stopped || this.host.journal.failed || this.host.space.isShort) return Promise.resolve();
    this.running ??= this.fireAll().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Fires nothing more; resolves when what was begun is over. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async fireAll(): Promise<void> {
    const { host } = this;
    const { timers } = this.stores;
    try {
      while (!this.stopped && !host.space.isShort) {
        const wasBehind = await this.bringNear();
        const due = timers.takeDue(host.now(), MAX_READ_AT_ONCE);
        if (due.length === 0 && !wasBehind) return;
        try {
          await this.fire(due);
        } finally {
          timers.release(host.now());
        }
      }
    } catch (error) {
      this.report(error);
    }
  }

  /** One step of taking in what comes within the horizon; false when all of it is there. */
  private async bringNear(): Promise<boolean> {
    const { host } = this;
    const { timers } = this.stores;
    const named = timers.approaching(host.now(), MAX_BROUGHT_AT_ONCE);
    if (!named) return false;
    // Retention carries what still waits to the end before it drops a segment.
    const positions = named.filter((position) => position >= host.journal.start);
    if (positions.length === 0) await new Promise((resolve) => setImmediate(resolve));
    else {
      const records = await host.journal.loadScattered(positions);
      for (const position of positions) {
        const block = records.get(position) ?? (await this.load({ position }));
        if (!block) timers.cannotBeRead(host.now());
        else timers.approached(timerHashAt(block, position), position, recordAt.deliverAtMs(block, position));
      }
    }
    return true;
  }

  private report(error: unknown): void {
    this.host.report({
      message: 'delayed messages could not be delivered; they are tried again',
      error,
    });
  }

  private async fire(due: readonly DueTimer[]): Promise<void> {
    const records = await this.host.journal.loadScattered(due.map(({ position }) => position));
    let batch: Firing[] = [];
    let bytes = 0;
    for (const timer of due) {
      if (this.stopped || this.host.space.isShort) return;
      const { position } = timer;
      const block = records.get(position) ?? (await this.load(timer));
      if (!block) continue;
      batch.push({ timer, block });
      bytes += recordAt.length(block, position);
      if (bytes < MAX_ENTRY_RECORD_BYTES && batch.length < MAX_ENTRY_TIMERS) continue;
      await this.write(batch, bytes);
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0) await this.write(batch, bytes);
  }

  /** One message that cannot be read must not hold up all others. */
  private async load({ position }: Pick<DueTimer, 'position'>): Promise<Block | undefined> {
    try {
      return await this.host.load(position);
    } catch (error) {
      this.report(error);
      return undefined;
    }
  }

  /** Writes one entry once the one before is in the file: however many are due, no more than two are in memory. */
  private async write(loaded: readonly Firing[], recordBytes: number): Promise<void> {
    const { stores } = this;
    const { journal, trace } = this.host;
    await this.written;
    // While the messages were read, some may have been recalled.
    const batch = loaded.filter(({ timer }) => stores.timers.isPending(timer));
    if (batch.length === 0 || !this.host.space.has(recordBytes)) return;
    const now = this.host.now();
    const timers = batch.map(({ timer }) => timer);
    const out = journal.begin(EntryType.TIMERS_FIRED, timers.length * FIRED_TIMER_BYTES + recordBytes);
    putFired(out, timers);
    journal.endFacts();
    const from = out.start + out.at;
    const partitions = new PartitionAppender(out, now);
    for (const { timer, block } of batch) {
      const { position } = timer;
      const topic = stores.topics.byTopicId(recordAt.topicId(block, position));
      const { copiedTo } = partitions.append(topic, block, position);
      trace.addRecord(copiedTo, TIMER_FIRED, now);
    }
    const to = out.start + out.at;
    journal.finish();
    stores.records.applyFired(timers, journal.current, from, to);
    // Its failure is the journal's, and reported by it.
    this.written = journal.flush('written').catch(() => undefined);
  }

  /**
   * Takes back all that wait under the handle: half messages that were prepared twice leave two. True when none of them will
   * ever be delivered, because of this or an earlier recall.
   * @throws {MessagingError} `INVALID_ARGUMENT` when several topics have the handle and none is named; `UNKNOWN_TOPIC`
   */
  async recall(timerId: string, topicName?: string): Promise<boolean> {
    const { host } = this;
    const topicId = this.topicIdOf(topicName);
    const hash = hashOf(timerId);
    const found = await this.foundUnder(timerId, topicId);
    const pending = this.stillWaiting(timerId, found);
    for (const { position, block } of pending) {
      const facts = { hash, position, handle: timerId, topicId: recordAt.topicId(block, position) };
      host.commit(EntryType.TIMER_RECALLED, facts);
      host.trace.add(recordAt.id(block, position), 'timer-recalled', host.now());
    }
    if (pending.length === 0 && !this.stores.recalls.has(timerId, topicId)) return false;
    // An earlier recall, too, may still be on its way to the disk.
    await host.journal.flush('durable');
    return pending.length === 0 || pending.length === found.length;
  }

  /**
   * Sets another time for all that wait under the handle. Their records are written anew with it, in one entry: what a record
   * says is when it is due, also when the segment that it was in is gone. False when nothing waits, or some of it was
   * delivered meanwhile.
   * @throws {MessagingError} as `recall`, and `INVALID_ARGUMENT` for a time that a send would refuse
   */
  async reschedule(timerId: string, deliverAtMs: number, topicName?: string): Promise<boolean> {
    const { host } = this;
    checkDeliverAt(deliverAtMs, host.now());
    const hash = hashOf(timerId);
    const found = await this.foundUnder(timerId, this.topicIdOf(topicName));
    const pending = this.stillWaiting(timerId, found);
    if (pending.length === 0) return false;
    const bytes = pending.reduce((sum, { position, block }) => sum + recordAt.length(block, position), 0);
    host.space.admit(bytes);
    const timers = pending.map(({ position }) => [hash, position]);
    host.commit(EntryType.TIMERS_MOVED, { timers }, bytes, (out) => {
      for (const { position, block } of pending) {
        const storedAtMs = recordAt.storedAtMs(block, position);
        copyToTimers(out, block, position, { storedAtMs, deliverAtMs });
      }
    });
    const [nowMs, to] = [host.now(), new Date(deliverAtMs).toISOString()];
    for (const { position, block } of pending)
      host.trace.add(recordAt.id(block, position), 'timer-moved', nowMs, undefined, to);
    host.dueAt(deliverAtMs);
    await host.journal.flush('durable');
    return pending.length === found.length;
  }

  private topicIdOf(name: string | undefined): number | undefined {
    return name === undefined ? undefined : this.stores.topics.require(name).id;
  }

  /** What waits under a handle, of a topic or of all. Some may fire while others are read. */
  private async foundUnder(timerId: string, topicId: number | undefined): Promise<Waiting[]> {
    const found: Waiting[] = [];
    for (const position of this.stores.timers.candidates(hashOf(timerId)) ?? []) {
      const block = await this.host.load(position);
      // A retry that waits has no handle.
      if (recordAt.isRetry(block, position) || !isTimerOf(block, position, timerId)) continue;
      if (topicId === undefined || topicId === recordAt.topicId(block, position))
        found.push({ position, block });
    }
    return found;
  }

  /** What of it has not fired yet: to be acted upon at once, before anything else has its turn. */
  private stillWaiting(timerId: string, found: readonly Waiting[]): Waiting[] {
    const hash = hashOf(timerId);
    const pending = found.filter(({ position }) => this.stores.timers.has(hash, position));
    this.checkOneTopic(timerId, pending);
    return pending;
  }

  private checkOneTopic(timerId: string, pending: readonly Waiting[]): void {
    const ids = new Set(pending.map(({ position, block }) => recordAt.topicId(block, position)));
    if (ids.size <= 1) return;
    const names = [...ids].map((id) => this.stores.topics.byTopicId(id).name);
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `the topics ${names.join(', ')} have delayed messages under the handle ${timerId}; say which is meant`,
    );
  }
}
