/**
 * A delayed message's handle: what its producer named, else its id. It belongs to its topic: another topic may have a
 * timer of the same handle.
 */
import type { Block } from '../journal/block.js';
import { RECORD_HEADER_BYTES, recordAt } from '../topics/record.js';
import { hashOf } from '../topics/text-hash.js';

export const timerHandleOf = (block: Block, position: number): string =>
  recordAt.timerId(block, position) ?? recordAt.id(block, position);

export const isTimerOf = (block: Block, position: number, handle: string): boolean =>
  timerHandleOf(block, position) === handle;

/** Stands for the handle of a timer that has none (a retry); found again by its position. */
export const hashOfPosition = (position: number): number =>
  (Math.imul(position % 2 ** 32, 0x9e3779b1) ^ Math.floor(position / 2 ** 32)) >>> 0;

/** What the timer of a record is found by: the hash of its handle, read from its bytes unless they are not ASCII. */
export function timerHashAt(block: Block, position: number): number {
  if (recordAt.isRetry(block, position)) return hashOfPosition(position);
  const { view } = block;
  const from = position - block.start + RECORD_HEADER_BYTES;
  const end = from + recordAt.textLength(block, position);
  let at = from;
  if (recordAt.hasTimerId(block, position)) {
    // Behind id, tag and key.
    for (let ends = 0; ends < 3 && at < end; at++) if (view.getUint8(at) === 0) ends += 1;
    if (at >= end || view.getUint8(at) === 0) at = from;
  }
  let hash = hashOf('');
  for (; at < end; at++) {
    const character = view.getUint8(at);
    if (character === 0) break;
    if (character > 0x7f) return hashOf(timerHandleOf(block, position));
    hash = Math.imul(hash ^ character, 0x01000193);
  }
  return hash >>> 0;
}
