/** Finds entries in segment files. Recovery, quarantine and the command line's `dump` and `verify` read with these, and with nothing else. */
import { MessagingError } from '#libs/messaging/port';
import { type Block, blockOf } from './block.js';
import type { Files } from './files.js';
import { ENTRY_HEADER_BYTES, FACTS_LENGTH_BYTES, checkSegmentHeader, validEntryLength } from './format.js';
import type { Segment, Segments } from './segments.js';

/** An entry as recovery and dumps see it: `at` is its place in `block`, valid only during the call. */
export type FoundEntry = { type: number; position: number; block: Block; at: number; length: number };

/** Its facts, and the position of its first record. Not of `ACKED` and `TIMERS_FIRED` entries, whose facts are no JSON. */
export function bodyOf({ block, at, position }: FoundEntry): { facts: unknown; recordsFrom: number } {
  const length = block.view.getUint32(at + ENTRY_HEADER_BYTES, true);
  const from = at + ENTRY_HEADER_BYTES + FACTS_LENGTH_BYTES;
  return {
    facts: length === 0 ? undefined : JSON.parse(block.bytes.toString('utf8', from, from + length)),
    recordsFrom: position + ENTRY_HEADER_BYTES + FACTS_LENGTH_BYTES + length,
  };
}

/** Calls `onEntry` for each valid entry from `position` on; the position of the first byte that is not one. */
export function walk(block: Block, from: number, onEntry: (entry: FoundEntry) => void): number {
  let position = from;
  for (;;) {
    const at = position - block.start;
    const length = validEntryLength(block.bytes, at, block.bytes.byteLength, position);
    if (length === 0) return position;
    onEntry({ type: block.view.getUint8(at + 8), position, block, at, length });
    position += length;
  }
}

const MIB = 1024 * 1024;

/** All of a segment's file; into `memory` when it is large enough. */
export async function readSegment(files: Files, segment: Segment, memory?: Buffer): Promise<Block> {
  const file = await files.open(segment.path, 'read');
  try {
    const size = await file.size();
    // Rounded up, so that the next segment most likely fits as well.
    const bytes = memory && memory.byteLength >= size ? memory : newMemory(Math.ceil(size / MIB) * MIB);
    const read = await file.read(bytes.subarray(0, size), 0);
    return blockOf(bytes.subarray(0, read), segment.base);
  } finally {
    await file.close();
  }
}

const newMemory = (bytes: number): Buffer => Buffer.allocUnsafeSlow(bytes);

/**
 * Reads segments in order, each while the one before it is looked at. They share two buffers: a block is
 * valid until the next one is asked for.
 */
export async function* readInTurn(files: Files, segments: readonly Segment[]): AsyncGenerator<Block> {
  const read = (index: number, memory?: Buffer): Promise<Block> | undefined => {
    const segment = segments[index];
    const reading = segment && readSegment(files, segment, memory);
    // A failure is reported when the segment's turn comes, if it comes.
    reading?.catch(() => undefined);
    return reading;
  };
  let reading = read(0);
  let memory: Buffer | undefined;
  try {
    for (let index = 0; reading; index++) {
      const block: Block = await reading;
      reading = read(index + 1, memory);
      yield block;
      memory = Buffer.from(block.bytes.buffer);
    }
  } finally {
    await reading?.catch(() => undefined);
  }
}

/** Whether the segment begins as one of its position does. @throws {MessagingError} `LOG_CORRUPT` for another format version */
export function headerIsValid(block: Block, segment: Segment): boolean {
  try {
    checkSegmentHeader(block.bytes, segment.base, segment.path);
    segment.createdAtMs = block.bytes.readDoubleLE(20);
    return true;
  } catch (error) {
    // A file of another format version is not damaged: cutting it would destroy it.
    if (error instanceof MessagingError && error.message.includes('format version')) throw error;
    return false;
  }
}

/** All bytes before this position were on disk when the entry was made. */
export const durableBefore = ({ block, at }: FoundEntry): number => block.view.getFloat64(at + 10, true);

export type ValidEntry = { position: number; durable: number };

/** The first valid entry at or behind `from`, byte by byte: after damage nothing says where entries start. */
export function findValidEntry(block: Block, from: number): ValidEntry | undefined {
  const last = block.end - ENTRY_HEADER_BYTES;
  for (let position = Math.max(from, block.start); position <= last; position++) {
    const at = position - block.start;
    // Type and version first: a length and a checksum at every byte would take minutes.
    const type = block.bytes[at + 8]!;
    if (type === 0 || type > 64 || block.bytes[at + 9] !== 1) continue;
    if (validEntryLength(block.bytes, at, block.bytes.byteLength, position) === 0) continue;
    return { position, durable: block.view.getFloat64(at + 10, true) };
  }
  return undefined;
}

/** The furthest position that any valid entry from `next` on says was on disk; 0 when there is none. */
export async function durableBehind(
  files: Files,
  segments: Segments,
  index: number,
  block: Block,
  next: ValidEntry | undefined,
): Promise<number> {
  let durable = 0;
  const note = (entry: FoundEntry): void => {
    durable = Math.max(durable, durableBefore(entry));
  };
  for (let from = next; from; from = findValidEntry(block, walk(block, from.position, note) + 1)) continue;
  for (const segment of segments.all.slice(index + 1)) {
    const later = await readSegment(files, segment);
    for (let from = findValidEntry(later, segment.base); from;) {
      from = findValidEntry(later, walk(later, from.position, note) + 1);
    }
  }
  return durable;
}
