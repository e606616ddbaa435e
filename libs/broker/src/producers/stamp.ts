/**
 * What an append under a producer's sequence leaves behind its messages, in the same entry: they count
 * and are remembered together or not at all. It stands where a record would, and is told apart by topic id 0.
 *
 *      0  u32  length of the stamp, these four bytes included
 *      4  u32  0
 *      8  f64  producer id
 *     16  u32  epoch
 *     20  f64  sequence
 *     28  u32  number of messages
 *     32  f64  position of the first message's record
 *     40  f64  position of each message's record; left out when they follow the first one without a gap
 */
import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import type { ProducerStamp } from '../session.js';
import { recordAt } from '../topics/record.js';

const HEADER_BYTES = 40;

/** Whether a stamp stands at `position` rather than a message. Topics are numbered from 1. */
export const isStamp = (block: Block, position: number): boolean => recordAt.topicId(block, position) === 0;

export const maxStampBytes = (messages: number): number => HEADER_BYTES + messages * 8;

/** Appends a stamp; `positions` of the records it speaks for. `dense`: they were written one after the other. */
export function writeStamp(
  out: Out,
  stamp: ProducerStamp,
  positions: readonly number[],
  dense: boolean,
): number {
  const { view, at } = out;
  view.setUint32(at + 4, 0, true);
  view.setFloat64(at + 8, stamp.producerId, true);
  view.setUint32(at + 16, stamp.epoch, true);
  view.setFloat64(at + 20, stamp.sequence, true);
  view.setUint32(at + 28, positions.length, true);
  view.setFloat64(at + 32, positions[0]!, true);
  out.at += HEADER_BYTES;
  if (!dense) {
    for (const position of positions) {
      view.setFloat64(out.at, position, true);
      out.at += 8;
    }
  }
  view.setUint32(at, out.at - at, true);
  return out.start + at;
}

export function readStamp(block: Block, position: number): ProducerStamp {
  const at = position - block.start;
  return {
    producerId: block.view.getFloat64(at + 8, true),
    epoch: block.view.getUint32(at + 16, true),
    sequence: block.view.getFloat64(at + 20, true),
  };
}

/** Where the stamp's messages are; `positions` is empty when they follow the first one. */
export function readPlaces(
  block: Block,
  position: number,
): { count: number; first: number; positions: number[] } {
  const at = position - block.start;
  const positions: number[] = [];
  const end = at + recordAt.length(block, position);
  for (let next = at + HEADER_BYTES; next < end; next += 8) positions.push(block.view.getFloat64(next, true));
  return {
    count: block.view.getUint32(at + 28, true),
    first: block.view.getFloat64(at + 32, true),
    positions,
  };
}
