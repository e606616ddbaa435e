import { MessagingError } from '#libs/messaging/port';
import type { Engine } from '../engine/engine.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { copyRecord, hashOf, recordAt, textOfRecord } from '../topics/record.js';
import type { Partition } from '../topics/topics.js';
import { stepNumber } from '../trace/trace.js';
import { FIRED_TIMER_BYTES, putFired } from './fired-entry.js';
import { isTimerOf } from './handles.js';
import type { DueTimer } from './timer-store.js';

/** Timers whose messages are read in one go: the more there are, the closer together they lie in the files. */
const MAX_READ_AT_ONCE = 10_000;
/** Timers in one entry: what the event loop does for them takes a few milliseconds. */
const MAX_ENTRY_TIMERS = 1_000;
/** Bytes of messages in one entry, unless one alone is larger. */
const MAX_ENTRY_RECORD_BYTES = 1024 * 1024;

const TIMER_FIRED = stepNumber('timer-fired');

type Firing = { timer: DueTimer; block: Block };

/** Delivers delayed messages when they are due, and takes them back before. */
export class Timers {
  private running: Promise<void> | undefined;
  private stopped = false;
  /** Settles when what was fired so far is in the file, or the journal has failed. */
  private written: Promise<unknown> = Promise.resolve();

  constructor(private readonly engine: Engine) {}

  /**
   * Fires what is due now, in the order of due times. A fired message is copied to the end of its partition, in
   * the same entry that takes its timer off: never both, never neither.
   */
  fireDue(): Promise<void> {
    if (this.stopped || this.engine.journal.failed) return Promise.resolve();
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
    const { engine } = this;
    const { timers } = engine.state;
    try {
      while (!this.stopped) {
        const due = timers.takeDue(engine.now(), MAX_READ_AT_ONCE);
        if (due.length === 0) return;
        try {
          await this.fire(due);
        } finally {
          timers.release(engine.now());
        }
      }
    } catch (error) {
      this.report(error);
    }
  }

  private report(error: unknown): void {
    this.engine.options.onProblem({
      message: 'delayed messages could not be delivered; they are tried again',
      error,
    });
  }

  private async fire(due: readonly DueTimer[]): Promise<void> {
    const records = await this.engine.journal.loadScattered(due.map(({ position }) => position));
    let batch: Firing[] = [];
    let bytes = 0;
    for (const timer of due) {
      if (this.stopped) return;
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
  private async load({ position }: DueTimer): Promise<Block | undefined> {
    try {
      return await this.engine.load(position);
    } catch (error) {
      this.report(error);
      return undefined;
    }
  }

  /** Writes one entry once the one before is in the file: however many are due, no more than two are in memory. */
  private async write(loaded: readonly Firing[], recordBytes: number): Promise<void> {
    const { journal, state, trace } = this.engine;
    await this.written;
    // While the messages were read, some may have been recalled.
    const batch = loaded.filter(({ timer }) => state.timers.isPending(timer));
    if (batch.length === 0) return;
    const now = this.engine.now();
    const ends = new Map<Partition, number>();
    const out = journal.begin(EntryType.TIMERS_FIRED, batch.length * FIRED_TIMER_BYTES + recordBytes);
    const from = out.start + out.at - 4;
    putFired(
      out,
      batch.map(({ timer }) => timer),
    );
    for (const { timer, block } of batch) {
      const { position } = timer;
      const topic = state.topics.byTopicId(recordAt.topicId(block, position));
      const text = textOfRecord(block, position);
      const partition = topic.partitionFor(text[2] === '' ? undefined : text[2]);
      const offset = ends.get(partition) ?? partition.end;
      ends.set(partition, offset + 1);
      const firedAt = copyRecord(out, block, position, {
        partition: partition.number,
        offset,
        storedAtMs: now,
      });
      trace.addRecord(firedAt, TIMER_FIRED, now);
    }
    const to = out.start + out.at;
    journal.finish();
    state.applyFired(journal.current, from, to);
    // Its failure is the journal's, and reported by it.
    this.written = journal.flush(false).catch(() => undefined);
  }

  /**
   * Takes back all that wait under the handle: half messages that were prepared twice leave two. True when none of them will
   * ever be delivered, because of this or an earlier recall.
   * @throws {MessagingError} `INVALID_ARGUMENT` when several topics have the handle and none is named; `UNKNOWN_TOPIC`
   */
  async recall(timerId: string, topicName?: string): Promise<boolean> {
    const { engine } = this;
    const { timers, recalls, topics } = engine.state;
    const topicId = topicName === undefined ? undefined : topics.require(topicName).id;
    const hash = hashOf(timerId);
    const waiting: { position: number; messageId: string; topicId: number }[] = [];
    for (const position of timers.candidates(hash) ?? []) {
      const block = await engine.load(position);
      // A retry that waits has no handle.
      if (recordAt.isRetry(block, position) || !isTimerOf(block, position, timerId)) continue;
      const found = recordAt.topicId(block, position);
      if (topicId !== undefined && topicId !== found) continue;
      waiting.push({ position, messageId: textOfRecord(block, position)[0]!, topicId: found });
    }
    // Some may have fired while others were read.
    const pending = waiting.filter(({ position }) => timers.has(hash, position));
    this.checkOneTopic(timerId, pending);
    for (const { position, messageId, topicId: of } of pending) {
      engine.commit(EntryType.TIMER_RECALLED, { hash, position, handle: timerId, topicId: of });
      engine.trace.add(messageId, 'timer-recalled', engine.now());
    }
    if (pending.length === 0 && !recalls.has(timerId, topicId)) return false;
    // An earlier recall, too, may still be on its way to the disk.
    await engine.journal.flush(true);
    return pending.length === 0 || pending.length === waiting.length;
  }

  private checkOneTopic(timerId: string, pending: readonly { topicId: number }[]): void {
    const ids = new Set(pending.map(({ topicId }) => topicId));
    if (ids.size <= 1) return;
    const names = [...ids].map((id) => this.engine.state.topics.byTopicId(id).name);
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `the topics ${names.join(', ')} have delayed messages under the handle ${timerId}; say which is meant`,
    );
  }
}
