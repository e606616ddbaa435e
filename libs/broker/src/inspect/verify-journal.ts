import { MessagingError } from '#libs/messaging/port';
import { lostOffsets, settleLoss, type LostOffsets } from '../engine/lost-messages.js';
import { resolveOptions } from '../engine/options.js';
import { BrokerState } from '../engine/state.js';
import { type Files, nodeFiles } from '../journal/files.js';
import { entryTypeName } from '../journal/format.js';
import { readMark } from '../journal/marks.js';
import { knownDamage } from '../journal/quarantine.js';
import { type LostRange, recover } from '../journal/recovery.js';
import { Segments } from '../journal/segments.js';

export type JournalReport = {
  segments: number;
  bytes: number;
  /** How many of each type, by name. */
  entries: Map<string, number>;
  /** Messages that can be read, by topic. */
  messages: Map<string, number>;
  /** Damage that a start would refuse. */
  damaged: LostRange[];
  /** Damage that was quarantined before. */
  quarantined: LostRange[];
  lostOffsets: LostOffsets[];
  /** Bytes that a start would cut off: nothing in them was acknowledged. */
  tornTail: LostRange | undefined;
  /** Entries that cannot follow from those before them. */
  contradictions: string[];
};

/**
 * Reads a whole data directory as a start would (the same recovery, the same fold) and changes nothing. On the
 * directory of a running broker its newest entries may look like a torn tail.
 * @throws {MessagingError} `INVALID_ARGUMENT` when there is no journal, `LOG_CORRUPT` for another format version
 */
export async function verifyJournal(dir: string, files: Files = nodeFiles): Promise<JournalReport> {
  // Before the files are listed: of a running broker it may move on.
  const newestAt = await readMark(files, `${dir}/journal`, 'newest').catch(() => undefined);
  const segments = await listSegments(dir, files);
  const known = (await files.list(dir)).includes('quarantine')
    ? await knownDamage(files, dir)
    : new Map<number, number>();
  const entries = new Map<string, number>();
  const contradictions: string[] = [];
  const { transactions, deduplication, timerHorizonMs } = resolveOptions({ dir });
  const nothing = (): void => undefined;
  const now = (): number => Date.now();
  const state = new BrokerState({
    ...{ transactions, deduplication, timerHorizonMs, now },
    ...{ wake: nothing, touched: nothing },
  });
  const { lost, cut } = await recover({
    files,
    segments,
    durableBefore: (await readMark(files, segments.directory, 'durable')) ?? 0,
    startsAt: await readMark(files, segments.directory, 'start'),
    newestAt,
    onDamage: 'quarantine',
    knownDamage: known,
    readOnly: true,
    onEntry: (entry) => {
      const name = entryTypeName(entry.type);
      entries.set(name, (entries.get(name) ?? 0) + 1);
      try {
        state.replay(entry);
      } catch (error) {
        if (contradictions.length < 100) contradictions.push(`position ${entry.position}: ${String(error)}`);
      }
    },
    onLost: () => {
      state.gap.isThere = true;
    },
  });
  if (state.gap.isThere) settleLoss(state);
  return {
    segments: segments.all.length,
    bytes: segments.all.reduce((sum, { base, end }) => sum + end - base, 0),
    entries,
    messages: countMessages(state),
    damaged: lost.filter(({ from }) => !known.has(from)),
    quarantined: lost.filter(({ from }) => known.has(from)),
    lostOffsets: state.gap.isThere ? lostOffsets(state) : [],
    tornTail: cut && cut.to > cut.from ? cut : undefined,
    contradictions,
  };
}

async function listSegments(dir: string, files: Files): Promise<Segments> {
  const missing = new MessagingError('INVALID_ARGUMENT', `${dir} is not a broker's data directory`);
  // `Segments.list` would make the directory.
  const names = await files.list(`${dir}/journal`).catch(() => {
    throw missing;
  });
  if (names.length === 0) throw missing;
  return Segments.list(files, `${dir}/journal`);
}

function countMessages(state: BrokerState): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { name, partitions } of state.topics.all()) {
    let count = 0;
    for (const { start, end, index } of partitions) {
      for (let offset = start; offset < end; offset++) if (index.get(offset) >= 0) count += 1;
    }
    counts.set(name, count);
  }
  return counts;
}
