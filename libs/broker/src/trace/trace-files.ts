import type { Files, JournalFile } from '../journal/files.js';
import { type Batch, HEADER_BYTES, decodeBatch, encodeHeader, headerProblem } from './trace-format.js';

const NAME = /^(\d{8})\.trace$/;
/** The next file begins where one has so many bytes, or so many steps: small ones go one by one when they are too old. */
const FULL_BYTES = 4 * 1024 * 1024;
const FULL_STEPS = 65_536;
/** A larger one is not of ours: a batch is at most some megabytes, and each begins in a file that is not full. */
const MAX_READ_BYTES = 32 * 1024 * 1024;
/** Bytes of all files together for each step that is remembered, beside one file: one takes 20, and some have an error with them. */
const BYTES_PER_STEP = 64;
/** Files beyond those that the steps take: some were closed early, because they have a torn end. */
const MORE_FILES = 16;

type Kept = { readonly number: number; bytes: number; steps: number };

/**
 * The files of the trace, `<dir>/trace/<number>.trace`: batches are appended to the newest, and the oldest goes when the others
 * have as many steps as are remembered, or when all of them are too long. Nothing is ever synced.
 */
export class TraceFiles {
  /** Oldest first. */
  private kept: Kept[] = [];
  private current: JournalFile | undefined;
  /** The newest ends with a whole batch of this version: it may be appended to. */
  private goesOn = false;

  /** @param size steps that are to be kept at least */
  constructor(
    private readonly files: Files,
    private readonly directory: string,
    private readonly size: number,
  ) {}

  /**
   * Hands over what was written, the oldest first: all batches of a file that are before the first one that is not whole. `onProblem`
   * hears of a file that is cut short by something else than the end of its writer.
   */
  async read(onBatch: (batch: Batch) => void, onProblem: (what: string) => void): Promise<void> {
    for (const number of await this.numbers()) {
      this.goesOn = false;
      const kept = { number, bytes: 0, steps: 0 };
      this.kept.push(kept);
      try {
        await this.readFile(kept, onBatch, onProblem);
      } catch (error) {
        onProblem(`${this.pathOf(number)} cannot be read: ${String(error)}`);
      }
    }
  }

  private async readFile(
    kept: Kept,
    onBatch: (batch: Batch) => void,
    onProblem: (what: string) => void,
  ): Promise<void> {
    const path = this.pathOf(kept.number);
    const file = await this.contentOf(path, kept);
    if (!file) return onProblem(`${path} is longer than a file of the trace`);
    // Its writer ended before it was begun.
    if (file.byteLength < HEADER_BYTES) return;
    const problem = headerProblem(file);
    if (problem !== undefined) return onProblem(`${path} ${problem}`);
    let at = HEADER_BYTES;
    for (let read = decodeBatch(file, at); read; read = decodeBatch(file, at)) {
      onBatch(read.batch);
      kept.steps += read.batch.steps.whats.length;
      at = read.end;
    }
    this.goesOn = at === file.byteLength;
    const isTorn = file.byteLength - at < 4 || file.readUInt32LE(at) > file.byteLength - at;
    if (!this.goesOn && !isTorn) onProblem(`${path} cannot be read from byte ${at} on`);
  }

  /** Undefined when it is too long to be one of ours. */
  private async contentOf(path: string, kept: Kept): Promise<Buffer | undefined> {
    const file = await this.files.open(path, 'read');
    try {
      kept.bytes = await file.size();
      if (kept.bytes > MAX_READ_BYTES) return undefined;
      const bytes = Buffer.allocUnsafeSlow(kept.bytes);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  }

  private get isFull(): boolean {
    const last = this.kept.at(-1);
    const most = Math.min(FULL_STEPS, Math.ceil(this.size / 2));
    return !last || !this.goesOn || last.bytes >= FULL_BYTES || last.steps >= most;
  }

  /**
   * Writes one batch, or rejects and goes on in the next file. `encode` makes it for its place in the file; where that `isFirst`, it
   * has to stand for itself.
   */
  async append(encode: (at: number, isFirst: boolean) => { bytes: Buffer; steps: number }): Promise<void> {
    await this.dropOld();
    if (this.isFull) await this.begin();
    const last = this.kept.at(-1)!;
    this.current ??= await this.files.open(this.pathOf(last.number), 'read-write');
    const isFirst = last.bytes === HEADER_BYTES;
    const { bytes, steps } = encode(last.bytes, isFirst);
    this.goesOn = false;
    if (isFirst) await this.current.writev([encodeHeader(), bytes], 0);
    else await this.current.writev([bytes], last.bytes);
    this.goesOn = true;
    last.bytes += bytes.byteLength;
    last.steps += steps;
  }

  private async begin(): Promise<void> {
    await this.close();
    await this.files.makeDirectory(this.directory);
    const number = (this.kept.at(-1)?.number ?? 0) + 1;
    this.current = await this.files.open(this.pathOf(number), 'create');
    this.kept.push({ number, bytes: HEADER_BYTES, steps: 0 });
  }

  private async dropOld(): Promise<void> {
    const mostBytes = this.size * BYTES_PER_STEP + FULL_BYTES;
    const mostFiles = MORE_FILES + 2 * Math.ceil(this.size / FULL_STEPS);
    for (;;) {
      const [oldest, ...others] = this.kept;
      if (!oldest || others.length === 0) return;
      const steps = others.reduce((sum, each) => sum + each.steps, 0);
      const bytes = others.reduce((sum, each) => sum + each.bytes, oldest.bytes);
      if (steps < this.size && bytes <= mostBytes && this.kept.length <= mostFiles) return;
      await this.files.unlink(this.pathOf(oldest.number));
      this.kept.shift();
    }
  }

  /** Gives all of their space back. What is written from then on begins a new file. */
  async remove(): Promise<void> {
    await this.close();
    this.goesOn = false;
    for (const number of await this.numbers()) {
      await this.files.unlink(this.pathOf(number));
      this.kept = this.kept.filter((each) => each.number !== number);
    }
  }

  async close(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    await current?.close();
  }

  /** Ascending. None while there is no directory. */
  private async numbers(): Promise<number[]> {
    let names: string[];
    try {
      names = await this.files.list(this.directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    return names
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  private pathOf(number: number): string {
    return `${this.directory}/${String(number).padStart(8, '0')}.trace`;
  }
}
