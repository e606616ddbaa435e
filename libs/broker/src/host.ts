import type { Block } from './journal/block.js';
import type { EntryType } from './journal/format.js';
import type { Journal, Out } from './journal/journal.js';
import type { Space } from './journal/space.js';
import type { Topic } from './topics/topics.js';
import type { Trace } from './trace/trace.js';

/** Something that no caller hears of: a file that cannot be read, say. */
export type Problem = { message: string; error?: unknown };

/**
 * What the engine does for its parts. A part is given this and the stores that it reads, and no part knows the
 * engine: the engine alone knows all of them.
 */
export interface BrokerHost {
  readonly journal: Journal;
  readonly trace: Trace;
  /** Whether the disk has room for more than what drains it. */
  readonly space: Pick<Space, 'isShort' | 'has' | 'fitsToFree' | 'admit'>;
  now(): number;
  /** What leases are counted in: no setting of the clock moves it. */
  monotonicMs(): number;
  /**
   * Writes one entry and applies it. `write` adds its records, at most `recordBytes` of them; it must not
   * write other entries.
   */
  commit(type: EntryType, facts: unknown, recordBytes?: number, write?: (out: Out) => void): void;
  /** The block that holds the record at `position`, from memory or file. */
  load(position: number): Promise<Block>;
  /** The topic, made now if it is not there. */
  topic(name: string): Topic;
  /** Where a group's failed messages go. Visible once written: what is in it was taken off another place in the same entry. */
  internalTopic(kind: 'retry' | 'dead-letter', group: string): Topic;
  /** Something will be due then: the next look at what is due may have to come sooner. */
  dueAt(dueAtMs: number): void;
  report(problem: Problem): void;
}
