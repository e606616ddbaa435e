import { type Block, blockOf, pieceOf } from './block.js';
import type { Segments } from './segments.js';

/** Read for a record whose length is not known yet: a page, and most records. */
const FIRST_READ_BYTES = 4096;
/** Records this close together are read in one go: copying the bytes between them costs less than another read. */
const MAX_GAP_BYTES = 32 * 1024;
const MAX_READ_BYTES = 256 * 1024;
/** Reads under way at once. More would only queue up in libuv's pool, in front of the journal's next sync. */
const MAX_READS_AT_ONCE = 8;
/** Bytes of records read by one call; those that it leaves out are for `Journal.load`. */
const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/** Of the memory that every call puts its records into, one after the other; those beyond it have memory of their own. */
const ARENA_BYTES = 1024 * 1024;

/** Positions that are read together. */
type Run = { from: number; to: number; positions: number[] };

/**
 * Reads single records from all over the journal: due timers were set at any time, and a block of 1 MiB for
 * each would be mostly for nothing. Records that happen to be neighbours are read together. They are not
 * cached, because each is needed once; what could not be read, or would be too much, is left out.
 *
 *     positions  1,000   9,000               700,000
 *     reads     [1,000 … 13,096)             [700,000 … 704,096)
 */
export class ScatteredReads {
  /** Memory to read into, used again: fresh one for every read would keep the collector busy. */
  private readonly windows: Buffer[] = [];
  private arena: Block | undefined;

  constructor(private readonly segments: Segments) {}

  /** The records at `positions`, each as a block of its own, until the next call: by then they are overwritten. */
  async read(positions: readonly number[]): Promise<Map<number, Block>> {
    const records = new Map<number, Block>();
    const runs = runsOf(this.segments, positions);
    let next = 0;
    let bytes = 0;
    const arena = (this.arena ??= blockOf(Buffer.allocUnsafeSlow(ARENA_BYTES), 0));
    const keep = (position: number, source: Buffer, from: number, to: number): void => {
      const fits = bytes + to - from <= ARENA_BYTES;
      if (fits) source.copy(arena.bytes, bytes, from, to);
      const record = fits
        ? pieceOf(arena, bytes, position, to - from)
        : blockOf(Buffer.from(source.subarray(from, to)), position);
      bytes += to - from;
      records.set(position, record);
    };
    const readInTurn = async (): Promise<void> => {
      const window = this.windows.pop() ?? Buffer.allocUnsafeSlow(MAX_READ_BYTES);
      for (let run = runs[next++]; run && bytes < MAX_RECORD_BYTES; run = runs[next++]) {
        const read = await this.readSome(run.from, window.subarray(0, run.to - run.from));
        for (const position of run.positions) {
          const at = position - run.from;
          const length = at + 4 <= read ? window.readUInt32LE(at) : 0;
          if (length === 0 || bytes + length > MAX_RECORD_BYTES) continue;
          if (at + length <= read) {
            keep(position, window, at, at + length);
          } else {
            const record = Buffer.allocUnsafeSlow(length);
            if ((await this.readSome(position, record)) === length) keep(position, record, 0, length);
          }
        }
      }
      this.windows.push(window);
    };
    await Promise.all(Array.from({ length: Math.min(MAX_READS_AT_ONCE, runs.length) }, readInTurn));
    return records;
  }

  /** Whoever needs a record that could not be read asks for it again, alone, and is told why not. */
  private readSome(position: number, target: Buffer): Promise<number> {
    return this.segments.read(position, target).catch(() => 0);
  }
}

function runsOf(segments: Segments, positions: readonly number[]): Run[] {
  const runs: Run[] = [];
  let run: Run | undefined;
  let nextBase = 0;
  for (const position of Float64Array.from(positions).sort()) {
    const to = position + FIRST_READ_BYTES;
    const isNear = run && position - run.to <= MAX_GAP_BYTES && to - run.from <= MAX_READ_BYTES;
    if (run && isNear && position < nextBase) {
      run.to = to;
      run.positions.push(position);
    } else {
      nextBase = segments.nextBase(position);
      run = { from: position, to, positions: [position] };
      runs.push(run);
    }
  }
  return runs;
}
