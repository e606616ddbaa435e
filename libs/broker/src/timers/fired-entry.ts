import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import type { DueTimer } from './timer-store.js';

/** What one fired timer takes beside its message. */
export const FIRED_TIMER_BYTES = 12;

/** A timer that fired: the hash of its handle, and where its message waited. */
export type FiredTimer = Pick<DueTimer, 'hash' | 'position'>;

/**
 * Writes the facts of a `TIMERS_FIRED` entry, which are not JSON; the messages follow, one for each timer, as records of
 * their partitions:
 *
 *     u32 bytes of the timers
 *     for each timer   u32 hash of its handle, f64 position at which its message waited
 */
export function putFired(out: Out, timers: readonly FiredTimer[]): void {
  const { view } = out;
  for (const { hash, position } of timers) {
    view.setUint32(out.at, hash, true);
    view.setFloat64(out.at + 4, position, true);
    out.at += FIRED_TIMER_BYTES;
  }
}

/** The same read back: `from` is the position of the entry's body. */
export function readFired(block: Block, from: number): { timers: FiredTimer[]; recordsFrom: number } {
  const timers: FiredTimer[] = [];
  const recordsFrom = from + 4 + block.view.getUint32(from - block.start, true);
  for (let at = from - block.start + 4; at < recordsFrom - block.start; at += FIRED_TIMER_BYTES) {
    timers.push({ hash: block.view.getUint32(at, true), position: block.view.getFloat64(at + 4, true) });
  }
  return { timers, recordsFrom };
}
