import { MessagingError } from '#libs/messaging/port';
import { type Block, newBlock } from './block.js';
import { BLOCK_BYTES, BlockCache } from './block-cache.js';
import type { Files } from './files.js';
import {
  ENTRY_HEADER_BYTES,
  FACTS_LENGTH_BYTES,
  EntryType,
  MAX_ENTRY_BYTES,
  SEGMENT_HEADER_BYTES,
  encodeSegmentHeader,
  entryChecksum,
} from './format.js';
import { JournalReader } from './journal-reader.js';
import type { Segment, Segments } from './segments.js';

export type JournalOptions = {
  files: Files;
  /**
   * A segment is closed before it would grow beyond this, unless one entry alone is larger; or beyond twice what
   * it began with where that is more, so that snapshots are at most half of what is written.
   */
  segmentBytes: number;
  /** Bytes of the newest entries kept in memory for consumers that keep up. */
  tailCacheBytes: number;
  /** Bytes of older entries kept in memory for consumers that are behind. */
  readCacheBytes: number;
  /** With the `async` flush policy: the file is synced at the latest this long after a write … */
  asyncFlushMs: number;
  /** … or once this much is written and not synced. */
  asyncFlushBytes: number;
  now: () => number;
};

/** Told about a group commit: `startCommit` when its bytes are about to be taken (the last call to add some), then `written`, then `durable` if it was synced. */
export interface CommitObserver {
  startCommit(): { written(): void; durable(): void };
  failed(error: MessagingError): void;
  /** Whether there is room for so many bytes that a segment begins with; until then the one before goes on. */
  mayGrow(bytes: number): boolean;
  /** A segment is about to be started: the entry that it begins with, made already, and as long as `bodyBytes` at most. */
  firstEntry(): { bodyBytes: number; write: () => void };
  /** It does not fit into an entry: the segment before goes on. */
  firstEntryTooLong(): void;
}

/** The bytes being written: an encoder writes at `at` and moves it on. */
export type Out = { bytes: Buffer; view: DataView; at: number; start: number };

/** How far a flush is to go. */
export type FlushGoal = 'written' | 'durable';

type Waiter = { resolve: () => void; reject: (error: Error) => void };

/** Sends of the same moment share an entry, and so a checksum, up to this size. */
const SHARED_ENTRY_BYTES = 64 * 1024;

/** A segment that cannot be closed grows to this at most, so that recovery can read it in one piece (2 GiB is Node's bound). */
const MAX_SEGMENT_BYTES = 2 * MAX_ENTRY_BYTES;

/**
 * The one log of the broker. Entries are put together in memory by `begin` and `end`; whatever has
 * gathered while a write was under way goes out in the next `writev` and, when somebody asked
 * for it, one `fdatasync` (group commit).
 *
 * After a failed write or sync it takes nothing more. A second `fdatasync` would report success for
 * pages that the kernel dropped after the first one failed (PostgreSQL's "fsyncgate"), so there
 * is no way to go on but to open the log again and see what is there.
 */
export class Journal {
  /** Position after the last entry. */
  end: number;
  written: number;
  durable: number;
  private readonly cache: BlockCache;
  private block: Block;
  private readonly out: Out;
  private entryAt = -1;
  private entryType: EntryType | 0 = 0;
  private readonly unwritten: { block: Block; from: number; segment: Segment }[] = [];
  private writtenWaiters: Waiter[] = [];
  private durableWaiters: Waiter[] = [];
  private syncWanted = false;
  private committing = false;
  private syncTimer: NodeJS.Timeout | undefined;
  private failure: MessagingError | undefined;
  private closed = false;
  private readonly reader: JournalReader;
  /** Position that the newest segment is not to grow beyond. */
  private segmentFullAt: number;

  constructor(
    private readonly segments: Segments,
    private readonly options: JournalOptions,
    private readonly observer: CommitObserver,
    end: number,
  ) {
    this.end = end;
    this.written = end;
    this.durable = end;
    this.segmentFullAt = (segments.newest?.base ?? 0) + options.segmentBytes;
    this.cache = new BlockCache(options.tailCacheBytes, options.readCacheBytes);
    this.reader = new JournalReader(segments, this.cache);
    this.block = newBlock(end, 0);
    this.out = { bytes: this.block.bytes, view: this.block.view, at: 0, start: end };
  }

  /** Starts an entry whose body takes at most `maxBodyBytes`. Write the body to the returned place, then `finish`. */
  begin(type: EntryType, maxBodyBytes: number): Out {
    if (this.failure) throw this.failure;
    if (this.closed) throw new MessagingError('CLOSED', 'the broker is closed');
    // Recovery would take it for damage, and refuse what was acknowledged.
    if (!fitsEntry(maxBodyBytes)) throw tooLong(maxBodyBytes);
    const { out } = this;
    if (this.entryType !== 0) {
      const sharing = type === EntryType.MESSAGES && this.entryType === type;
      const room = out.bytes.byteLength - out.at;
      if (sharing && maxBodyBytes <= room && out.at - this.entryAt < SHARED_ENTRY_BYTES) return out;
      this.seal();
    }
    const need = ENTRY_HEADER_BYTES + FACTS_LENGTH_BYTES + maxBodyBytes;
    const segment = this.segments.newest;
    if (!segment || (this.end + need > this.segmentFullAt && !this.segmentIsEmpty(segment))) {
      this.nextSegment(need);
    }
    if (out.bytes.byteLength - out.at < need) this.startBlock(need, this.segments.newest!);
    this.entryAt = out.at;
    this.entryType = type;
    out.at += ENTRY_HEADER_BYTES;
    out.view.setUint32(out.at, 0, true);
    if (type !== EntryType.ACKED) out.at += FACTS_LENGTH_BYTES;
    return out;
  }

  /** Writes the facts of the entry begun last, as JSON; call before any record. */
  facts(json: string): void {
    const { out } = this;
    out.at += out.bytes.write(json, out.at);
    this.endFacts();
  }

  /** What was written of the entry begun last are its facts; records follow. */
  endFacts(): void {
    const { out, entryAt } = this;
    const length = out.at - entryAt - ENTRY_HEADER_BYTES - FACTS_LENGTH_BYTES;
    out.view.setUint32(entryAt + ENTRY_HEADER_BYTES, length, true);
  }

  /** The body is complete so far; what is written counts from now on. */
  finish(): void {
    const { out, block } = this;
    this.end = out.start + out.at;
    block.end = this.end;
    if (this.entryType !== EntryType.MESSAGES) this.seal();
  }

  private seal(): void {
    if (this.entryType === 0) return;
    const { out, entryAt } = this;
    const { view } = out;
    view.setUint32(entryAt, out.at - entryAt, true);
    view.setUint8(entryAt + 8, this.entryType);
    view.setUint8(entryAt + 9, 1);
    view.setFloat64(entryAt + 10, this.durable, true);
    const checksum = entryChecksum(out.bytes.subarray(entryAt + 8, out.at), out.start + entryAt);
    view.setUint32(entryAt + 4, checksum, true);
    this.entryType = 0;
  }

  private segmentIsEmpty(segment: Segment): boolean {
    return this.end - segment.base <= SEGMENT_HEADER_BYTES;
  }

  /**
   * Starts a segment, or goes on with the newest one while what the next would begin with is too long, or the disk
   * nearly full: a segment without it would be all that is left of it once those before it are dropped. Tried again every `segmentBytes`.
   */
  private nextSegment(need: number): void {
    const { newest } = this.segments;
    const mayGoOn = newest !== undefined && this.end + need - newest.base <= MAX_SEGMENT_BYTES;
    if (mayGoOn && !this.observer.mayGrow(need)) return this.goOn(need, newest);
    const first = this.observer.firstEntry();
    if (mayGoOn && fitsEntry(first.bodyBytes) && !this.observer.mayGrow(need + first.bodyBytes))
      return this.goOn(need, newest);
    if (fitsEntry(first.bodyBytes)) return this.startSegment(need, first.write);
    if (!mayGoOn) throw tooLong(first.bodyBytes);
    this.goOn(need, newest);
    this.observer.firstEntryTooLong();
  }

  private goOn(need: number, newest: Segment): void {
    this.segmentFullAt = Math.min(
      this.end + need + this.options.segmentBytes,
      newest.base + MAX_SEGMENT_BYTES,
    );
  }

  private startSegment(need: number, writeFirst: () => void): void {
    const base = this.end;
    if (this.segments.newest) this.segments.newest.end = base;
    const createdAtMs = this.options.now();
    const segment = this.segments.add(base, base, createdAtMs);
    this.startBlock(SEGMENT_HEADER_BYTES + need, segment);
    encodeSegmentHeader(base, createdAtMs).copy(this.out.bytes, 0);
    this.out.at = SEGMENT_HEADER_BYTES;
    this.end = base + SEGMENT_HEADER_BYTES;
    this.block.end = this.end;
    writeFirst();
    this.segmentFullAt = Math.max(base + this.options.segmentBytes, this.end + (this.end - base));
  }

  private startBlock(need: number, segment: Segment): void {
    this.block = newBlock(this.end, need, need > BLOCK_BYTES ? undefined : this.cache.blockMemory());
    this.out.bytes = this.block.bytes;
    this.out.view = this.block.view;
    this.out.at = 0;
    this.out.start = this.end;
    this.cache.addTail(this.block);
    this.unwritten.push({ block: this.block, from: this.end, segment });
  }

  /**
   * Resolves once everything up to now is `written` (it survives the death of this process) or `durable` (on disk: it
   * survives a power cut).
   */
  flush(upTo: FlushGoal): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.flushThen(upTo, { resolve, reject }));
  }

  /** `flush` without a promise, for the hot path. */
  flushThen(upTo: FlushGoal, waiter: Waiter): void {
    if (this.failure) return waiter.reject(this.failure);
    if (upTo === 'durable') {
      this.syncWanted = true;
      this.durableWaiters.push(waiter);
    } else {
      this.writtenWaiters.push(waiter);
    }
    this.kick();
  }

  /** What is written now is to be on disk soon: asks for a sync without waiting for it. */
  wantSync(): void {
    this.syncWanted = true;
    this.kick();
  }

  /** The block that entries are being written to. */
  get current(): Block {
    return this.block;
  }

  /** Writes what has gathered, without anybody waiting for it. */
  kick(): void {
    if (this.committing || this.failure) return;
    this.committing = true;
    // Not at once: everything that arrives in this turn of the event loop shares the write.
    setImmediate(() => {
      this.commitAll()
        .catch((error: unknown) => this.fail(error))
        .finally(() => {
          this.committing = false;
          if (this.writtenWaiters.length + this.durableWaiters.length > 0) this.kick();
        });
    });
  }

  private async commitAll(): Promise<void> {
    while (this.end > this.written || this.writtenWaiters.length > 0 || this.durableWaiters.length > 0) {
      const commit = this.observer.startCommit();
      this.seal();
      const { end, syncWanted: sync, writtenWaiters, durableWaiters } = this;
      this.syncWanted = false;
      this.writtenWaiters = [];
      this.durableWaiters = [];
      try {
        if (end > this.written) await this.write(end);
        this.written = end;
        commit.written();
        for (const waiter of writtenWaiters) waiter.resolve();
        writtenWaiters.length = 0;
        if (sync || this.written - this.durable > this.options.asyncFlushBytes) await this.sync(end);
        if (this.durable >= end) commit.durable();
        for (const waiter of durableWaiters) waiter.resolve();
        durableWaiters.length = 0;
        this.cache.trim(this.written);
      } finally {
        // Empty unless the write or the sync failed.
        this.writtenWaiters.unshift(...writtenWaiters);
        this.durableWaiters.unshift(...durableWaiters);
      }
    }
    if (this.durable < this.written) this.syncLater();
  }

  private async write(end: number): Promise<void> {
    while (this.unwritten.length > 0) {
      const { segment } = this.unwritten[0]!;
      const from = this.unwritten[0]!.from;
      const buffers: Buffer[] = [];
      while (this.unwritten[0]?.segment === segment && this.unwritten[0].from < end) {
        const piece = this.unwritten[0];
        const upTo = Math.min(piece.block.end, end);
        buffers.push(piece.block.bytes.subarray(piece.from - piece.block.start, upTo - piece.block.start));
        piece.from = upTo;
        // More of it is to come: it is still being filled, or was filled up while an earlier write was under way.
        if (piece.block === this.block || upTo < piece.block.end) break;
        this.unwritten.shift();
      }
      if (buffers.length === 0) return;
      const file = await this.segments.writable(segment);
      await file.writev(buffers, from - segment.base);
    }
  }

  private async sync(end: number): Promise<void> {
    await this.segments.current?.datasync();
    this.durable = end;
  }

  private syncLater(): void {
    this.syncTimer ??= setTimeout(() => {
      this.syncTimer = undefined;
      // A failure is kept in `failure` and reported to every caller from then on.
      this.flush('durable').catch(() => undefined);
    }, this.options.asyncFlushMs);
  }

  private fail(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const failure = new MessagingError('STORAGE_FAILED', `the journal cannot be written: ${reason}`, {
      cause,
    });
    this.failure = failure;
    const waiters = [...this.writtenWaiters, ...this.durableWaiters];
    this.writtenWaiters = [];
    this.durableWaiters = [];
    for (const waiter of waiters) waiter.reject(failure);
    this.observer.failed(failure);
  }

  /** The oldest position that is kept. */
  get start(): number {
    return this.segments.all[0]?.base ?? 0;
  }

  /** Why nothing more is taken, if so. */
  get failed(): MessagingError | undefined {
    return this.failure;
  }

  /** The block that holds the record at `position`, if it is in memory. It may be kept. */
  find(position: number): Block | undefined {
    const block = this.cache.find(position);
    if (block) block.lent = true;
    return block;
  }

  /** The block that holds the record at `position`, read from its file when it is not in memory. It may be kept. */
  async load(position: number): Promise<Block> {
    const block = await this.reader.load(position, this.written);
    // Displaced by what was read beside it, before anybody could say that it is needed.
    if (block.end === block.start) return this.load(position);
    block.lent = true;
    return block;
  }

  /** `find` for whoever says by `users` how long the block is needed: its memory is used again afterwards. */
  borrow(position: number): Block | undefined {
    return this.cache.find(position);
  }

  /** `load` to the same terms. */
  loadToBorrow(position: number): Promise<Block> {
    return this.reader.load(position, this.written);
  }

  /**
   * Blocks with the records at these positions, which may be far apart and are needed once: those in memory, and
   * one for each record that is read, until the next call. Some may be left out, which `load` then reads, or fails to.
   */
  loadScattered(positions: readonly number[]): Promise<Map<number, Block>> {
    return this.reader.loadScattered(positions);
  }

  /** Writes and syncs everything, then closes the files. Takes nothing from then on: the directory may be another broker's. */
  async close(): Promise<void> {
    try {
      if (!this.failure) await this.flush('durable');
      this.closed = true;
      // What came during the flush was taken.
      if (!this.failure && this.end > this.written) await this.flush('durable');
    } finally {
      clearTimeout(this.syncTimer);
      await this.segments.close();
    }
  }
}

const fitsEntry = (bodyBytes: number): boolean =>
  ENTRY_HEADER_BYTES + FACTS_LENGTH_BYTES + bodyBytes <= MAX_ENTRY_BYTES;

const tooLong = (bodyBytes: number): MessagingError =>
  new MessagingError('MESSAGE_TOO_LARGE', `a journal entry of up to ${bodyBytes} bytes`);
