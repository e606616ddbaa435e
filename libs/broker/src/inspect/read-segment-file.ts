import { basename, dirname } from 'node:path';
import { MessagingError } from '#libs/messaging/port';
import { nodeFiles } from '../journal/files.js';
import { SEGMENT_HEADER_BYTES, segmentBaseOf } from '../journal/format.js';
import { type FoundEntry, findValidEntry, headerIsValid, readSegment, walk } from '../journal/scan.js';
import { Segments } from '../journal/segments.js';

/** Bytes between two valid entries, or behind the last one. */
export type UnreadableRange = { from: number; to: number };

/**
 * Hands over what is in one segment file, in order, without changing it. What is not an entry is passed over to
 * the next one that is.
 * @throws {MessagingError} `INVALID_ARGUMENT` when the name is not a segment's, `LOG_CORRUPT` for another format version
 */
export async function readSegmentFile(
  path: string,
  onEntry: (entry: FoundEntry) => void,
  onUnreadable: (range: UnreadableRange) => void,
  files = nodeFiles,
): Promise<void> {
  const base = segmentBaseOf(basename(path));
  if (base === undefined) {
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `${path}: a segment's name is its first position, as in 00000000000000000000.log`,
    );
  }
  const segment = new Segments(files, dirname(path)).add(base, base);
  const block = await readSegment(files, segment).catch((error: unknown) => {
    throw new MessagingError('INVALID_ARGUMENT', `${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  });
  const isWhole = headerIsValid(block, segment);
  let position = isWhole ? base + SEGMENT_HEADER_BYTES : base;
  while (position < block.end) {
    if (position > base) position = walk(block, position, onEntry);
    if (position === block.end) return;
    const to = findValidEntry(block, position + 1)?.position ?? block.end;
    onUnreadable({ from: position, to });
    position = to;
  }
}
