import { ENTRY_HEADER_BYTES, EntryType } from '../journal/format.js';
import type { Journal } from '../journal/journal.js';
import type { FoundEntry } from '../journal/scan.js';
import type { Cursor } from './cursor.js';

/** What a group settled in one partition: offsets `first` to `first + count - 1`, per run. */
export type AckedRuns = {
  groupId: number;
  topicId: number;
  partition: number;
  runs: [first: number, count: number][];
};

const CURSOR_BYTES = 12;
const RUN_BYTES = 12;
/** Runs fit a u16. */
const MAX_RUNS = 65_535;

/**
 * Writes what these cursors have settled since the last commit, as one `ACKED` entry:
 *
 *     for each cursor   u32 group id, u32 topic id, u16 partition, u16 number of runs
 *     for each run      f64 first offset, u32 number of offsets
 */
export function writeAcks(journal: Journal, cursors: readonly Cursor[]): void {
  const offsets = cursors.reduce((sum, { unrecorded }) => sum + unrecorded.length, 0);
  const out = journal.begin(
    EntryType.ACKED,
    cursors.length * CURSOR_BYTES + offsets * (RUN_BYTES + CURSOR_BYTES),
  );
  const { view } = out;
  for (const { group, partition, unrecorded } of cursors) {
    unrecorded.sort((a, b) => a - b);
    for (let i = 0; i < unrecorded.length;) {
      view.setUint32(out.at, group.id, true);
      view.setUint32(out.at + 4, partition.topic.id, true);
      view.setUint16(out.at + 8, partition.number, true);
      const runsAt = out.at + 10;
      out.at += CURSOR_BYTES;
      let runs = 0;
      for (; i < unrecorded.length && runs < MAX_RUNS; runs++) {
        const first = unrecorded[i]!;
        let count = 1;
        while (unrecorded[i + count] === first + count) count += 1;
        view.setFloat64(out.at, first, true);
        view.setUint32(out.at + 8, count, true);
        out.at += RUN_BYTES;
        i += count;
      }
      view.setUint16(runsAt, runs, true);
    }
    unrecorded.length = 0;
  }
  journal.finish();
}

/** The same read back. */
export function* readAcks({ block: { view }, at, length }: FoundEntry): Generator<AckedRuns> {
  for (let next = at + ENTRY_HEADER_BYTES; next < at + length;) {
    const count = view.getUint16(next + 10, true);
    const runsAt = next + CURSOR_BYTES;
    yield {
      groupId: view.getUint32(next, true),
      topicId: view.getUint32(next + 4, true),
      partition: view.getUint16(next + 8, true),
      runs: Array.from({ length: count }, (_, run) => [
        view.getFloat64(runsAt + run * RUN_BYTES, true),
        view.getUint32(runsAt + run * RUN_BYTES + 8, true),
      ]),
    };
    next = runsAt + count * RUN_BYTES;
  }
}
