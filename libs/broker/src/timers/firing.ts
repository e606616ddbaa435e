import type { Engine } from '../engine/engine.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { copyRecord, hashOf, recordAt, textOfRecord } from '../topics/record.js';
import type { Partition } from '../topics/topics.js';
import type { DueTimer } from './timer-store.js';

/** Timers fired in one go; more wait for the next turn of the event loop. */
const MAX_FIRED_AT_ONCE = 10_000;
/** Bytes of messages in one entry of fired timers. */
const MAX_ENTRY_RECORD_BYTES = 4 * 1024 * 1024;

type Firing = DueTimer & { block: Block };

/** Delivers delayed messages when they are due, and takes them back before. */
export class Timers {
  private firing = false;

  constructor(private readonly engine: Engine) {}

  /**
   * Fires what is due now. A fired message is copied to the end of its partition, in the same entry that
   * takes its timer off: never both, never neither, and what lies in a partition is in the order of its offsets.
   */
  async fireDue(): Promise<void> {
    if (this.firing || this.engine.journal.failed) return;
    this.firing = true;
    const { timers } = this.engine.state;
    try {
      for (;;) {
        const due = timers.takeDue(this.engine.now(), MAX_FIRED_AT_ONCE);
        if (due.length === 0) return;
        try {
          await this.fire(due);
        } finally {
          timers.release();
        }
      }
    } catch (error) {
      this.engine.options.onProblem({
        message: 'delayed messages could not be delivered; they are tried again',
        error,
      });
    } finally {
      this.firing = false;
    }
  }

  private async fire(due: readonly DueTimer[]): Promise<void> {
    let batch: Firing[] = [];
    let bytes = 0;
    for (const timer of due) {
      const block = this.engine.journal.find(timer.position) ?? (await this.engine.load(timer.position));
      batch.push({ ...timer, block });
      bytes += recordAt.length(block, timer.position);
      if (bytes < MAX_ENTRY_RECORD_BYTES) continue;
      this.write(batch, bytes);
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0) this.write(batch, bytes);
  }

  private write(loaded: readonly Firing[], bytes: number): void {
    const { engine } = this;
    const { state } = engine;
    // While the messages were read, some may have been recalled.
    const batch = loaded.filter(({ hash, position }) => state.timers.has(hash, position));
    if (batch.length === 0) return;
    const now = engine.now();
    const ends = new Map<Partition, number>();
    const facts = { timers: batch.map(({ hash, position }) => [hash, position]) };
    engine.commit(EntryType.TIMERS_FIRED, facts, bytes, (out) => {
      for (const { block, position } of batch) {
        const topic = state.topics.byTopicId(recordAt.topicId(block, position));
        const text = textOfRecord(block, position);
        const partition = topic.partitionFor(text[2] === '' ? undefined : text[2]);
        const offset = ends.get(partition) ?? partition.end;
        ends.set(partition, offset + 1);
        copyRecord(out, block, position, { partition: partition.number, offset, storedAtMs: now });
        engine.trace.add(text[0]!, 'timer-fired', now);
      }
    });
  }

  /** True when the message will never be delivered because of this or an earlier recall. */
  async recall(timerId: string): Promise<boolean> {
    const { engine } = this;
    const { timers } = engine.state;
    const hash = hashOf(timerId);
    for (const position of timers.candidates(hash) ?? []) {
      const block = await engine.load(position);
      // Again, because it may have fired while it was read. A retry that waits has no handle.
      if (!timers.has(hash, position) || recordAt.isRetry(block, position)) continue;
      const text = textOfRecord(block, position);
      if ((text[3] || text[0]) !== timerId) continue;
      engine.commit(EntryType.TIMER_RECALLED, { hash, position, handle: timerId });
      engine.trace.add(text[0]!, 'timer-recalled', engine.now());
      await engine.journal.flush(true);
      return true;
    }
    if (!engine.state.recalls.has(timerId)) return false;
    // The first recall may still be on its way to the disk.
    await engine.journal.flush(true);
    return true;
  }
}
