import { MessagingError } from '#libs/messaging/port';
import type { Files } from './files.js';
import { SEGMENT_HEADER_BYTES } from './format.js';
import {
  type FoundEntry,
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
  /** Everything before this position is known to have been on disk (`durable-mark.ts`); damage there is never a torn tail. */
  durableBefore: number;
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

/** `lost`: what was left out, `cut`: the torn tail. */
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
  const leaveOut = (range: LostRange): void => {
    lost.push(range);
    options.onLost?.(range);
  };
  let index = -1;
  for await (const block of readInTurn(options.files, segments.all)) {
    index += 1;
    const segment = segments.all[index]!;
    const following = segments.all[index + 1];
    segment.end = block.end;
    let position = segment.base + SEGMENT_HEADER_BYTES;
    if (!headerIsValid(block, segment)) position = segment.base;
    for (;;) {
      position = position === segment.base ? position : walk(block, position, options.onEntry);
      const complete = position === block.end && (following === undefined || following.base === position);
      if (complete && position > segment.base) break;
      const known = options.knownDamage?.get(position);
      if (known !== undefined) {
        leaveOut({ path: segment.path, from: position, to: known });
        if (known > block.end || known === following?.base) break;
        position = known;
        continue;
      }
      const next = findValidEntry(block, position + 1);
      const provenDurable = Math.max(
        options.durableBefore,
        await durableBehind(options.files, segments, index, block, next),
      );
      if (provenDurable <= position)
        return { end: position, lost, cut: await cutAt(options, index, position) };
      const to = next?.position ?? following?.base ?? block.end;
      if (options.onDamage === 'refuse') throw damaged(segment, position, to);
      leaveOut({ path: segment.path, from: position, to });
      if (!next) break;
      position = next.position;
    }
  }
  const newest = segments.newest;
  const end = newest?.end ?? 0;
  if (end < options.durableBefore) {
    const path = newest?.path ?? segments.directory;
    if (options.onDamage === 'refuse') {
      throw new MessagingError(
        'LOG_CORRUPT',
        `${path} ends at position ${end}, but everything up to ${options.durableBefore} had been on disk`,
      );
    }
    leaveOut({ path, from: end, to: options.durableBefore });
  }
  return { end, lost, cut: undefined };
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
