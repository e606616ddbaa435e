import { MessagingError, type StorageInfo } from '#libs/messaging/port';
import type { Ballast } from './ballast.js';
import type { Files } from './files.js';

/** How often the disk is asked what is free. */
const LOOK_EVERY_MS = 1_000;

type SpaceParts = {
  files: Files;
  directory: string;
  ballast: Ballast;
  journal: () => { readonly end: number; readonly written: number };
  now: () => number;
  report: (problem: { message: string; error?: unknown }) => void;
};

/**
 * Who may still write when the disk is nearly full (ADR 23). What adds to the journal (sends, half messages, timers that fire,
 * redrives) is refused, or waits, when it would leave less than the size of the reserve free; what drains it (acks,
 * retries, dead letters, decisions, deletions) goes on in that, and then in the blocks of the reserve. Once twice as
 * much is free as was missing, the reserve is whole again and sends are taken.
 */
export class Space {
  private wasShort = false;
  /** Position that sends may not take the journal beyond. */
  private upTo = Infinity;
  private freeBytes = Infinity;
  private lookedAtMs = 0;
  private looking: Promise<void> | undefined;
  /** Why the reserve is not whole, if its disk said more than that it is full. */
  private trouble: unknown;
  private hasLooked = false;

  constructor(private readonly parts: SpaceParts) {}

  /** Whether only what drains the journal may be written. */
  get isShort(): boolean {
    return this.wasShort || !this.parts.ballast.isWhole;
  }

  /** Whether so many bytes may be added that drain nothing. */
  has(bytes: number): boolean {
    // A larger message that is refused and smaller ones that are taken would be hard to tell from a fault.
    if (!this.isShort && this.parts.journal().end + bytes > this.upTo) {
      this.becomeShort();
      // Since the last look others may have made room.
      void this.look();
    }
    return !this.isShort;
  }

  /** @throws {MessagingError} `STORAGE_FULL` when so many bytes may not be added */
  admit(bytes: number): void {
    if (this.has(bytes)) return;
    const { ballast, directory } = this.parts;
    throw new MessagingError(
      'STORAGE_FULL',
      `the disk of ${directory} has less than ${ballast.bytes} bytes free; nothing was stored`,
    );
  }

  /** Whether so many bytes leave the reserve as it is: asked for what can wait, and is no reason to refuse sends. */
  fits(bytes: number): boolean {
    return !this.isShort && this.parts.journal().end + bytes <= this.upTo;
  }

  /**
   * As `fits`, for what frees more than it takes as soon as it is on disk: also while the disk is nearly full, but then no more than
   * a quarter of what is left with the reserve, so that acks have the rest.
   */
  fitsToFree(bytes: number): boolean {
    if (this.fits(bytes)) return true;
    const { ballast, journal } = this.parts;
    // Where the disk does not say what is free, the reserve is all that is known to be.
    const upTo = this.upTo === Infinity ? 0 : this.upTo;
    const freeBytes = Math.max(0, upTo + ballast.bytes - journal().end);
    return bytes <= (freeBytes + ballast.left) / 4;
  }

  get info(): StorageInfo {
    const { left: reservedBytes, bytes: reserveBytes } = this.parts.ballast;
    const { isShort, freeBytes } = this;
    return { isShort, ...(freeBytes < Infinity && { freeBytes }), reservedBytes, reserveBytes };
  }

  /** Looks again, unless it did a moment ago. */
  reconsider(): void {
    if (Math.abs(this.parts.now() - this.lookedAtMs) >= LOOK_EVERY_MS) void this.look();
  }

  /** Asks the disk what is free, and fills the reserve when there is enough. Never rejects. */
  look(): Promise<void> {
    this.lookedAtMs = this.parts.now();
    this.looking ??= this.lookNow().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async lookNow(): Promise<void> {
    const { ballast, files, directory, journal } = this.parts;
    if (ballast.bytes === 0) return;
    // Given up since the last look: say so before it is filled again.
    if (!ballast.isWhole && this.hasLooked) this.becomeShort();
    const before = journal().written;
    this.freeBytes = await files.freeBytes(directory).catch(() => Infinity);
    if (!ballast.isWhole && this.freeBytes - (ballast.bytes - ballast.left) >= ballast.bytes) {
      await this.fill();
      this.freeBytes = await files.freeBytes(directory).catch(() => Infinity);
    }
    this.upTo = before + this.freeBytes - ballast.bytes;
    const needed = ballast.bytes * (this.wasShort ? 2 : 1);
    if (!ballast.isWhole || this.freeBytes < needed) this.becomeShort();
    else this.recover();
    this.hasLooked = true;
  }

  private async fill(): Promise<void> {
    try {
      await this.parts.ballast.fill();
      this.trouble = undefined;
    } catch (error) {
      // It stays as large as it is, and is filled at a later look; sends wait for that.
      this.trouble = error;
    }
  }

  private becomeShort(): void {
    if (this.wasShort) return;
    this.wasShort = true;
    const { directory, ballast, report } = this.parts;
    report({
      message: `the disk of ${directory} is nearly full: sends are refused and delayed messages wait, while consumers drain, until ${2 * ballast.bytes} bytes are free beside the reserve`,
      error: this.trouble,
    });
  }

  private recover(): void {
    if (!this.wasShort) return;
    this.wasShort = false;
    const { directory, report } = this.parts;
    report({ message: `the disk of ${directory} has space again: sends are taken` });
  }

  /** Resolves when no look is under way. */
  idle(): Promise<void> {
    return this.looking ?? Promise.resolve();
  }
}
