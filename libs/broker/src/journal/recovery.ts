import { MessagingError } from '#libs/messaging';
import { type Block, blockOf } from './block.js';
import type { Files } from './files.js';
import { ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, checkSegmentHeader, validEntryLength } from './format.js';
import type { Segment, Segments } from './segments.js';

/** An entry as recovery and dumps see it: `at` is its place in `block`, valid only during the call. */
export type FoundEntry = { type: number; position: number; block: Block; at: number; length: number };

export type LostRange = { path: string; from: number; to: number };

export type RecoveryOptions = {
  files: Files;
  segments: Segments;
  /** Entries before this position are known already (from a checkpoint). */
  from: number;
  /** Everything before this position is known to have been on disk (from a checkpoint); damage there is never a torn tail. */
  durableBefore: number;
  /** `refuse`: damage before valid entries throws. `quarantine`: it is skipped and reported. */
  onDamage: 'refuse' | 'quarantine';
  onEntry: (entry: FoundEntry) => void;
};

export type Recovered = { end: number; lost: LostRange[]; cut: LostRange | undefined };

/**
 * Reads the journal's entries in order and finds its end.
 *
 *     … | entry | entry | ??? |                     torn tail: nothing valid behind it → cut
 *     … | entry | ??? | entry (durable ≤ X) |       torn tail: X was never synced, so nothing
 *                 X                                 behind it was acknowledged → cut
 *     … | entry | ??? | entry (durable > X) |       damage → refused by name, or skipped
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { segments } = options;
  const lost: LostRange[] = [];
  for (let index = 0; index < segments.all.length; index++) {
    const segment = segments.all[index]!;
    const following = segments.all[index + 1];
    const block = await readSegment(options.files, segment);
    segment.end = block.end;
    if (following && following.base <= options.from) continue;
    let position = Math.max(options.from, segment.base + SEGMENT_HEADER_BYTES);
    if (!headerIsValid(block, segment)) position = segment.base;
    for (;;) {
      position = position === segment.base ? position : walk(block, position, options.onEntry);
      const complete = position === block.end && (following === undefined || following.base === position);
      if (complete && position > segment.base) break;
      const next = findValidEntry(block, position + 1);
      const provenDurable = Math.max(
        options.durableBefore,
        await durableBehind(options.files, segments, index, block, next),
      );
      if (provenDurable <= position)
        return { end: position, lost, cut: await cutAt(options, index, position) };
      const to = next?.position ?? following?.base ?? block.end;
      if (options.onDamage === 'refuse') throw damaged(segment, position, to);
      lost.push({ path: segment.path, from: position, to });
      if (!next) break;
      position = next.position;
    }
  }
  const newest = segments.newest;
  if ((newest?.end ?? 0) < options.durableBefore && options.onDamage === 'refuse') {
    throw new MessagingError(
      'LOG_CORRUPT',
      `${newest?.path ?? segments.directory} ends at position ${newest?.end ?? 0}, but everything up to ${options.durableBefore} had been on disk`,
    );
  }
  return { end: newest?.end ?? 0, lost, cut: undefined };
}

/** Calls `onEntry` for each valid entry from `position` on; the position of the first byte that is not one. */
function walk(block: Block, from: number, onEntry: (entry: FoundEntry) => void): number {
  let position = from;
  for (;;) {
    const at = position - block.start;
    const length = validEntryLength(block.bytes, at, block.bytes.byteLength, position);
    if (length === 0) return position;
    onEntry({ type: block.view.getUint8(at + 8), position, block, at, length });
    position += length;
  }
}

async function readSegment(files: Files, segment: Segment): Promise<Block> {
  const file = await files.open(segment.path, 'read');
  try {
    const bytes = Buffer.allocUnsafeSlow(await file.size());
    const read = await file.read(bytes, 0);
    return blockOf(bytes.subarray(0, read), segment.base);
  } finally {
    await file.close();
  }
}

function headerIsValid(block: Block, segment: Segment): boolean {
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

type ValidEntry = { position: number; durable: number };

/** The first valid entry at or behind `from`, byte by byte: after damage nothing says where entries start. */
function findValidEntry(block: Block, from: number): ValidEntry | undefined {
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
async function durableBehind(
  files: Files,
  segments: Segments,
  index: number,
  block: Block,
  next: ValidEntry | undefined,
): Promise<number> {
  let durable = 0;
  const note = (entry: FoundEntry): void => {
    durable = Math.max(durable, entry.block.view.getFloat64(entry.at + 10, true));
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

async function cutAt(
  options: RecoveryOptions,
  index: number,
  position: number,
): Promise<LostRange | undefined> {
  const { files, segments } = options;
  const segment = segments.all[index]!;
  const to = segments.newest!.end;
  for (const later of segments.all.splice(index + 1)) await files.unlink(later.path);
  if (position <= segment.base + SEGMENT_HEADER_BYTES && index > 0) {
    // Nothing but (part of) a header: the segment is started again when it is needed.
    segments.all.splice(index);
    await files.unlink(segment.path);
    position = segment.base;
  } else if (position === segment.base) {
    segments.all.splice(index);
    await files.unlink(segment.path);
  } else {
    const file = await files.open(segment.path, 'read-write');
    try {
      await file.truncate(position - segment.base);
      await file.datasync();
    } finally {
      await file.close();
    }
    segment.end = position;
  }
  await files.syncDirectory(segments.directory);
  return { path: segment.path, from: position, to: Math.max(to, position) };
}

function damaged(segment: Segment, from: number, to: number): MessagingError {
  return new MessagingError(
    'LOG_CORRUPT',
    `${segment.path} is damaged at byte ${from - segment.base} (position ${from}); ` +
      `valid entries follow at position ${to}. Restore the file, or open with onDamage: 'quarantine' to go on without the range`,
  );
}
