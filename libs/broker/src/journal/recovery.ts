import { join } from 'node:path';
import { MessagingError } from '#libs/messaging/port';
import type { Files } from './files.js';
import { SEGMENT_HEADER_BYTES, segmentFileName } from './format.js';
import { writeMark } from './marks.js';
import {
  type FoundEntry,
  durableBefore,
  durableBehind,
  findValidEntry,
  headerIsValid,
  readInTurn,
  readSegment,
  walk,
} from './scan.js';
import type { Segment, Segments } from './segments.js';

export type LostRange = { path: string; from: number; to: number };

export type RecoveryOptions = {
  files: Files;
  segments: Segments;
  /** Everything before this position is known to have been on disk (`marks.ts`); damage there is never a torn tail. */
  durableBefore: number;
  /** Where the journal begins, if that is known. */
  startsAt?: number | undefined;
  /** Where its newest segment begins, or one before that, if it is known. */
  newestAt?: number | undefined;
  /** `refuse`: damage before valid entries throws. `quarantine`: it is skipped and reported. */
  onDamage: 'refuse' | 'quarantine';
  /** Damage that was quarantined before, as first position → end: left out without being looked at again. */
  knownDamage?: ReadonlyMap<number, number>;
  onEntry: (entry: FoundEntry) => void;
  /** Called in its place among the entries when a range is left out. */
  onLost?: (range: LostRange) => void;
  /** Changes no file: a torn tail is reported, not cut. */
  readOnly?: boolean;
};

/** `lost`: what was left out, `cut`: the torn tail. All before `onDisk` was synced by whoever wrote it. */
export type Recovered = { end: number; lost: LostRange[]; cut: LostRange | undefined; onDisk: number };

/**
 * Reads the journal's entries in order and finds its end.
 *
 *     … | entry | entry | ??? |                     torn tail: nothing valid behind it → cut
 *     … | entry | ??? | entry (durable ≤ X) |       torn tail: X was never synced, so nothing
 *                 X                                 behind it was acknowledged → cut
 *     … | entry | ??? | entry (durable > X) |       damage → refused by name, or skipped
 *
 * When the segment that the journal begins with is not there, or the one that it ends with, that is damage too.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { segments } = options;
  const lost: LostRange[] = [];
  const leaveOut = (range: LostRange): void => {
    lost.push(range);
    options.onLost?.(range);
  };
  // A segment is begun when all before it is on disk.
  const durableUpTo = Math.max(options.durableBefore, options.newestAt ?? 0);
  let onDisk = durableUpTo;
  const onEntry = (entry: FoundEntry): void => {
    onDisk = Math.max(onDisk, durableBefore(entry));
    options.onEntry(entry);
  };
  const missing = missingStart(options);
  if (missing) {
    const isKnown = options.knownDamage?.get(missing.from) === missing.to;
    if (options.onDamage === 'refuse' && !isKnown) throw startIsMissing(missing);
    leaveOut(missing);
  }
  const missingNewest = missingEnd(options);
  if (missingNewest && options.onDamage === 'refuse') throw endIsMissing(missingNewest);
  let index = -1;
  for await (const block of readInTurn(options.files, segments.all)) {
    index += 1;
    const segment = segments.all[index]!;
    const following = segments.all[index + 1];
    segment.end = block.end;
    let position = segment.base + SEGMENT_HEADER_BYTES;
    if (!headerIsValid(block, segment)) position = segment.base;
    for (;;) {
      position = position === segment.base ? position : walk(block, position, onEntry);
      const complete = position === block.end && (following === undefined || following.base === position);
      if (complete && position > segment.base) break;
      const known = options.knownDamage?.get(position);
      if (known !== undefined && known > position) {
        leaveOut({ path: segment.path, from: position, to: known });
        if (known > block.end || known === following?.base) break;
        position = known;
        continue;
      }
      const next = findValidEntry(block, position + 1);
      const provenDurable = Math.max(
        durableUpTo,
        await durableBehind(options.files, segments, index, block, next),
      );
      if (provenDurable <= position)
        return { end: position, lost, cut: await cutAt(options, index, position), onDisk };
      const to = next?.position ?? following?.base ?? block.end;
      if (options.onDamage === 'refuse') throw damaged(segment, position, to);
      leaveOut({ path: segment.path, from: position, to });
      if (!next) break;
      position = next.position;
    }
  }
  const newest = segments.newest;
  const end = newest?.end ?? 0;
  if (end < durableUpTo) {
    const path = newest?.path ?? segments.directory;
    if (options.onDamage === 'refuse') {
      throw new MessagingError(
        'LOG_CORRUPT',
        `${path} ends at position ${end}, but everything up to ${durableUpTo} had been on disk`,
      );
    }
    leaveOut({ path, from: end, to: durableUpTo });
  }
  if (missingNewest) leaveOut(missingNewest);
  return { end, lost, cut: undefined, onDisk };
}

async function cutAt(
  options: RecoveryOptions,
  index: number,
  position: number,
): Promise<LostRange | undefined> {
  const { files, segments } = options;
  const segment = segments.all[index]!;
  let to = segments.newest!.end;
  if (options.readOnly === true) {
    for (const later of segments.all.slice(index + 1)) to = (await readSegment(files, later)).end;
    return { path: segment.path, from: position, to };
  }
  // Nothing but (part of) a header: the segment is started again when it is needed.
  const isEmpty = position <= segment.base + (index > 0 ? SEGMENT_HEADER_BYTES : 0);
  const gone = segments.all.splice(isEmpty ? index : index + 1);
  // First the mark, then the files: none is to be missed that was taken away here.
  const newestAt = segments.newest?.base ?? -1;
  if (newestAt < (options.newestAt ?? -1)) await writeMark(files, segments.directory, 'newest', newestAt);
  for (const { path } of gone) await files.unlink(path);
  if (isEmpty) {
    position = segment.base;
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

/**
 * Makes what was recovered durable: of a process that was killed, the end of the journal may be in the page cache alone, and
 * from now on it is delivered, confirmed and written behind. It is written once more first, because after a sync
 * that failed the kernel calls pages clean that never reached the disk.
 */
export async function secure(
  files: Files,
  segments: Segments,
  { end, onDisk }: Pick<Recovered, 'end' | 'onDisk'>,
): Promise<void> {
  const { newest } = segments;
  if (!newest || end <= onDisk) return;
  // Older segments were synced before anything was written to a newer one.
  const from = Math.max(newest.base, onDisk);
  const file = await files.open(newest.path, 'read-write');
  try {
    const bytes = Buffer.allocUnsafeSlow(end - from);
    const read = await file.read(bytes, from - newest.base);
    await file.writev([bytes.subarray(0, read)], from - newest.base);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.syncDirectory(segments.directory);
}

/** What lies before the oldest segment, though the journal is known to begin there. */
function missingStart({ segments, startsAt }: RecoveryOptions): LostRange | undefined {
  // Before its first entry a journal begins at 0 and has no segment.
  const base = segments.all[0]?.base ?? (startsAt === 0 ? 0 : Infinity);
  if (startsAt === undefined || base <= startsAt) return undefined;
  const path = join(segments.directory, segmentFileName(startsAt));
  return { path, from: startsAt, to: base === Infinity ? startsAt : base };
}

function startIsMissing({ path, from, to }: LostRange): MessagingError {
  return new MessagingError(
    'LOG_CORRUPT',
    `${path} is missing: the journal begins at byte 0 of it (position ${from}), and what is there begins at ${to}. ` +
      GO_ON,
  );
}

/** The newest segment, though a newer one had been begun. What was in it nobody can tell: the range is empty. */
function missingEnd({ segments, newestAt = -1 }: RecoveryOptions): LostRange | undefined {
  if ((segments.newest?.base ?? -1) >= newestAt) return undefined;
  const path = join(segments.directory, segmentFileName(newestAt));
  return { path, from: newestAt, to: newestAt };
}

function endIsMissing({ path, from }: LostRange): MessagingError {
  return new MessagingError(
    'LOG_CORRUPT',
    `${path} is missing: the journal went on in it (position ${from}), with messages that may have been confirmed. ${GO_ON}`,
  );
}

const GO_ON =
  "Restore the file, or open with onDamage: 'quarantine' (the server: BROKER_ON_DAMAGE=quarantine) to go on without the range";

function damaged(segment: Segment, from: number, to: number): MessagingError {
  return new MessagingError(
    'LOG_CORRUPT',
    `${segment.path} is damaged at byte ${from - segment.base} (position ${from}); ` +
      `valid entries follow at position ${to}. ${GO_ON}`,
  );
}
