import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import type { Files, JournalFile } from './files.js';

/** Written and given up in pieces of this share … */
const PIECES = 8;
/** … or of this size, where that is more. */
const LEAST_PIECE_BYTES = 64 * 1024;

/**
 * The file `reserve` beside the journal: blocks of the disk that are the broker's although nothing is in them (CockroachDB's
 * emergency ballast). When the disk takes no more they are given up piece by piece, each just before the
 * write that needs it, so that another process which fills the disk gets little of them.
 *
 *     | ········ |  full disk  | ····· |  one write  | ····· |  space again  | ········ |
 *       8 MiB                    7 MiB   later         7 MiB                   8 MiB
 *
 * Random bytes: of zeros some file systems keep none, and would have nothing to give back.
 */
export class Ballast {
  /** Bytes that can be given up. */
  left = 0;
  private exists = false;
  /** One change of the file at a time. */
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly files: Files,
    private readonly directory: string,
    /** What it is filled up to; 0 for none. */
    readonly bytes: number,
  ) {}

  /** The one that is there, as far as it is: nothing is written. One larger than `bytes` is cut. */
  static async find(files: Files, directory: string, bytes: number): Promise<Ballast> {
    const ballast = new Ballast(files, directory, bytes);
    if (!(await files.list(directory)).includes(NAME)) return ballast;
    if (bytes === 0) {
      await files.unlink(join(directory, NAME));
      return ballast;
    }
    ballast.exists = true;
    await ballast.change(async (file) => {
      const size = await file.size();
      if (size > bytes) await file.truncate(bytes);
      ballast.left = Math.min(size, bytes);
    });
    return ballast;
  }

  get isWhole(): boolean {
    return this.left >= this.bytes;
  }

  private get pieceBytes(): number {
    return Math.max(LEAST_PIECE_BYTES, Math.ceil(this.bytes / PIECES));
  }

  /** Writes what is missing. Ends early when some is given up meanwhile; rejects with the disk's error, and keeps what it has by then. */
  async fill(): Promise<void> {
    for (let before = this.left; this.left < this.bytes && this.left >= before;) {
      before = this.left;
      await this.next(() => this.grow());
    }
  }

  private async grow(): Promise<void> {
    const piece = randomFillSync(Buffer.allocUnsafe(Math.min(this.pieceBytes, this.bytes - this.left)));
    await this.change(async (file) => {
      await file.writev([piece], this.left);
      // Until then it may have blocks in name only.
      await file.datasync();
    });
    this.left += piece.byteLength;
  }

  /** Gives up one piece, or more where `bytes` are needed. False when nothing is left, or the disk does not even take that. */
  giveUp(bytes: number): Promise<boolean> {
    return this.next(() => this.shrink(bytes));
  }

  private async shrink(bytes: number): Promise<boolean> {
    if (this.left === 0) return false;
    const keep = Math.max(0, this.left - Math.max(bytes, this.pieceBytes));
    try {
      await this.change(async (file) => {
        await file.truncate(keep);
        this.left = keep;
        // Some file systems let nobody have the blocks before that.
        await file.datasync();
      });
    } catch {
      // The write that needed it is tried again, or fails with an error that says more.
    }
    return this.left === keep;
  }

  private next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => undefined);
    return result;
  }

  private async change(work: (file: JournalFile) => Promise<void>): Promise<void> {
    const file = await this.files.open(join(this.directory, NAME), this.exists ? 'read-write' : 'create');
    this.exists = true;
    try {
      await work(file);
    } finally {
      await file.close();
    }
  }
}

const NAME = 'reserve';
