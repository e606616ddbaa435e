/**
 * A delayed message's handle: what its producer named, else its id. It belongs to its topic: another topic may have a
 * timer of the same handle.
 */
import type { Block } from '../journal/block.js';
import { textOfRecord } from '../topics/record.js';

export function timerHandleOf(block: Block, position: number): string {
  const text = textOfRecord(block, position);
  return text[3] === '' ? text[0]! : text[3]!;
}

export const isTimerOf = (block: Block, position: number, handle: string): boolean =>
  timerHandleOf(block, position) === handle;
