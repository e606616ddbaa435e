/**
 * A message as bytes in the journal. Self-describing: topic, partition and offset are in it, so that a
 * dump needs no index.
 *
 *      0  u32  length of the record, these four bytes included
 *      4  u32  topic id
 *      8  u16  partition; 65,535: none yet (delayed, or half of a transaction)
 *     10  u8   flags: 1 has a key, 2 has a timer id, 4 is a retry (its timer cannot be recalled)
 *     11  u8   priority
 *     12  f64  offset, -1: none yet
 *     20  f64  born at, ms
 *     28  f64  stored at, ms
 *     36  f64  deliver at, ms; 0: at once
 *     44  u32  time to live, ms; 0: for ever
 *     48  u32  hash of the tag
 *     52  u32  length of the text
 *     56  u32  length of the provenance
 *     60  …    text: id ␀ tag ␀ key ␀ timer id (␀ header name ␀ header value)*, UTF-8
 *      …  …    provenance: JSON (`Provenance`) of a message that was delivered before, else empty
 *      …  …    body
 */
import { MessagingError } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';

export const RECORD_HEADER_BYTES = 60;
export const NO_PARTITION = 0xffff;
export const NO_OFFSET = -1;
/** In place of a partition and an offset: the message waits for its time, or its topic was full. */
export const NOWHERE = Object.freeze({ partition: -1, offset: NO_OFFSET });
export const DEFAULT_PRIORITY = 4;

export const HAS_KEY = 1;
export const HAS_TIMER_ID = 2;
export const IS_RETRY = 4;

/** Reads single fields of the record at `position` without decoding the rest. */
export const recordAt = {
  length: (block: Block, position: number): number => block.view.getUint32(position - block.start, true),
  topicId: (block: Block, position: number): number => block.view.getUint32(position - block.start + 4, true),
  partition: (block: Block, position: number): number =>
    block.view.getUint16(position - block.start + 8, true),
  isRetry: (block: Block, position: number): boolean =>
    (block.view.getUint8(position - block.start + 10) & IS_RETRY) !== 0,
  hasTimerId: (block: Block, position: number): boolean =>
    (block.view.getUint8(position - block.start + 10) & HAS_TIMER_ID) !== 0,
  priority: (block: Block, position: number): number => block.view.getUint8(position - block.start + 11),
  offset: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 12, true),
  storedAtMs: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 28, true),
  deliverAtMs: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 36, true),
  ttlMs: (block: Block, position: number): number => block.view.getUint32(position - block.start + 44, true),
  tagHash: (block: Block, position: number): number =>
    block.view.getUint32(position - block.start + 48, true),
  textLength: (block: Block, position: number): number =>
    block.view.getUint32(position - block.start + 52, true),
  provenanceLength: (block: Block, position: number): number =>
    block.view.getUint32(position - block.start + 56, true),
  id: (block: Block, position: number): string => textAt(block, position, 0),
  tag: (block: Block, position: number): string => textAt(block, position, 1),
  key: (block: Block, position: number): string | undefined => textAt(block, position, 2) || undefined,
  timerId: (block: Block, position: number): string | undefined => textAt(block, position, 3) || undefined,
};

/** The text that has so many others before it; empty when there are not so many. */
function textAt(block: Block, position: number, before: number): string {
  const { bytes } = block;
  let from = position - block.start + RECORD_HEADER_BYTES;
  const end = from + recordAt.textLength(block, position);
  for (let left = before; ; left--) {
    const separator = bytes.indexOf(0, from);
    const to = separator < 0 || separator > end ? end : separator;
    if (left === 0) return bytes.utf8Slice(from, to);
    from = Math.min(to + 1, end);
  }
}

/** Bytes of the record before its body. */
export const bodyOffset = (block: Block, position: number): number =>
  RECORD_HEADER_BYTES + recordAt.textLength(block, position) + recordAt.provenanceLength(block, position);

export const bodyBytesOf = (block: Block, position: number): number =>
  recordAt.length(block, position) - bodyOffset(block, position);

/**
 * Where the record at `position` ends, and the next one begins. The records of an entry end where it does, at `end`.
 * @throws {MessagingError} `LOG_CORRUPT` when it has no length or goes beyond: a walk over records comes to an end
 */
export function endOfRecord(block: Block, position: number, end: number): number {
  const length = recordAt.length(block, position);
  if (length === 0 || position + length > end) {
    throw new MessagingError(
      'LOG_CORRUPT',
      `a record of ${length} bytes at position ${position}, in an entry that ends at ${end}`,
    );
  }
  return position + length;
}

/** Length of the record at `position` when all of it lies before `end` and its parts fit into it; 0 otherwise. For bytes that came from elsewhere. */
export function validRecordLength(block: Block, position: number, end: number): number {
  if (position + RECORD_HEADER_BYTES > end) return 0;
  const length = recordAt.length(block, position);
  const used = bodyOffset(block, position);
  return used <= length && position + length <= end ? length : 0;
}

/** Positions of the records between two positions of a block. */
export function positionsOf(block: Block, from: number, to: number): number[] {
  const positions: number[] = [];
  for (let position = from; position < to; position = endOfRecord(block, position, to))
    positions.push(position);
  return positions;
}
