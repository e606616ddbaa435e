import { join } from 'node:path';
import { makeDurableDirectory } from './durable-directory.js';
import type { Files, JournalFile } from './files.js';
import { segmentBaseOf, segmentFileName } from './format.js';
import { writeMark } from './marks.js';

export type Segment = { base: number; end: number; path: string; createdAtMs: number };

type Reader = { file: Promise<JournalFile>; users: number };

/** Files kept open for reading beside the one that is written. */
const MAX_OPEN_FOR_READING = 16;

/** The segment files in order, and the few of them that are open. */
export class Segments {
  readonly all: Segment[] = [];
  private readonly readers = new Map<number, Reader>();
  private writing: { base: number; file: JournalFile } | undefined;

  constructor(
    private readonly files: Files,
    readonly directory: string,
  ) {}

  static async list(files: Files, directory: string): Promise<Segments> {
    const segments = new Segments(files, directory);
    await makeDurableDirectory(files, directory);
    const bases = (await files.list(directory)).map(segmentBaseOf).filter((base) => base !== undefined);
    for (const base of bases.sort((a, b) => a - b)) segments.add(base, base);
    return segments;
  }

  get newest(): Segment | undefined {
    return this.all.at(-1);
  }

  add(base: number, end: number, createdAtMs = 0): Segment {
    const segment = { base, end, path: join(this.directory, segmentFileName(base)), createdAtMs };
    this.all.push(segment);
    return segment;
  }

  /** The segment that holds `position`. */
  at(position: number): Segment | undefined {
    const found = this.all[this.indexAt(position)];
    return found && found.base <= position ? found : undefined;
  }

  private indexAt(position: number): number {
    let low = 0;
    let high = this.all.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.all[middle]!.base <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Where the segment behind the one that holds `position` begins. */
  nextBase(position: number): number {
    return this.all[this.indexAt(position) + 1]?.base ?? Infinity;
  }

  /**
   * The file to append `segment` to; makes it when it is not there. The file written before is synced first, so
   * that syncing the returned one makes everything durable.
   */
  async writable(segment: Segment): Promise<JournalFile> {
    if (this.writing?.base === segment.base) return this.writing.file;
    if (this.writing) {
      await this.writing.file.datasync();
      await this.writing.file.close();
      this.writing = undefined;
    }
    const names = await this.files.list(this.directory);
    const exists = names.includes(segmentFileName(segment.base));
    const file = await this.files.open(segment.path, exists ? 'read-write' : 'create');
    if (!exists) await this.noteNewest(file, segment.base);
    this.writing = { base: segment.base, file };
    return file;
  }

  /** The file first, then the mark: a mark of a file that a power cut took would have a start refuse what is whole. */
  private async noteNewest(file: JournalFile, base: number): Promise<void> {
    await file.datasync();
    await this.files.syncDirectory(this.directory);
    await writeMark(this.files, this.directory, 'newest', base);
  }

  /** The file that was written last, if any. */
  get current(): JournalFile | undefined {
    return this.writing?.file;
  }

  /** Reads from `position` on, at most to the end of its segment; resolves to the number of bytes. */
  async read(position: number, target: Uint8Array): Promise<number> {
    const segment = this.at(position);
    if (!segment) return 0;
    const reader = this.reader(segment);
    reader.users += 1;
    try {
      return await (await reader.file).read(target, position - segment.base);
    } finally {
      reader.users -= 1;
    }
  }

  private reader(segment: Segment): Reader {
    const known = this.readers.get(segment.base);
    if (known) {
      this.readers.delete(segment.base);
      this.readers.set(segment.base, known);
      return known;
    }
    const reader = { file: this.files.open(segment.path, 'read'), users: 0 };
    // The rejection itself reaches whoever reads; the next read tries to open the file again.
    reader.file.catch(() => this.readers.delete(segment.base));
    this.readers.set(segment.base, reader);
    if (this.readers.size > MAX_OPEN_FOR_READING) {
      for (const [base, oldest] of this.readers) {
        if (oldest.users > 0 || oldest === reader) continue;
        void this.closeReader(base);
        break;
      }
    }
    return reader;
  }

  /** Removes the oldest segment's file, once it is on disk that the journal begins behind it. */
  async dropOldest(): Promise<void> {
    const [oldest, second] = this.all;
    if (!oldest || !second) return;
    await writeMark(this.files, this.directory, 'start', second.base);
    await this.files.unlink(oldest.path);
    await this.files.syncDirectory(this.directory);
    this.all.shift();
    await this.closeReader(oldest.base);
  }

  private async closeReader(base: number): Promise<void> {
    const reader = this.readers.get(base);
    this.readers.delete(base);
    await (await reader?.file)?.close();
  }

  async close(): Promise<void> {
    for (const base of [...this.readers.keys()]) await this.closeReader(base);
    await this.writing?.file.close();
    this.writing = undefined;
  }
}
