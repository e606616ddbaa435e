/**
 * A delayed message's handle: what its producer named, else its id. It belongs to its topic: another topic may have a
 * timer of the same handle.
 */
import type { Block } from '../journal/block.js';
import { recordAt } from '../topics/record.js';

export const timerHandleOf = (block: Block, position: number): string =>
  recordAt.timerId(block, position) ?? recordAt.id(block, position);

export const isTimerOf = (block: Block, position: number, handle: string): boolean =>
  timerHandleOf(block, position) === handle;
