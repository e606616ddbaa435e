import { crc32 } from 'node:zlib';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryFiles } from '../testing/memory-files.js';
import type { JournalFile } from './files.js';
import {
  ENTRY_HEADER_BYTES,
  EntryType,
  SEGMENT_HEADER_BYTES,
  encodeSegmentHeader,
  entryChecksum,
} from './format.js';
import { blockOf } from './block.js';
import { findValidEntry, headerIsValid, readInTurn } from './scan.js';
import { type Segment, Segments } from './segments.js';

/** Counts open files, and fails to read one of them. */
class WatchedFiles extends MemoryFiles {
  opened = 0;
  unreadable = '';

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    this.opened += 1;
    return {
      ...file,
      read: (target, position) =>
        path === this.unreadable ? Promise.reject(new Error('EIO')) : file.read(target, position),
      close: () => {
        this.opened -= 1;
        return file.close();
      },
    };
  }
}

let files: WatchedFiles;
let segments: readonly Segment[];

/** Five segments of different lengths, each filled with its number. */
beforeEach(() => {
  files = new WatchedFiles();
  const journal = new Segments(files, 'journal');
  for (const [number, length] of [2_900_000, 3_000_000, 10, 0, 2_000_000].entries()) {
    const segment = journal.add(number * 10_000_000, 0);
    files.put(segment.path, Buffer.alloc(length, number));
  }
  segments = journal.all;
});

describe('reading segments in turn', () => {
  it('gives each with its own bytes, though no more than two are in memory', async () => {
    const memory = new Set<ArrayBufferLike>();
    let at = 0;
    for await (const { start, end, bytes } of readInTurn(files, segments)) {
      const segment = segments[at]!;
      expect(start).toBe(segment.base);
      expect(end - start).toBe(bytes.byteLength);
      expect(bytes.equals(files.content(segment.path))).toBe(true);
      memory.add(bytes.buffer);
      at += 1;
    }
    expect(at).toBe(5);
    expect(memory.size).toBe(2);
    expect(files.opened).toBe(0);
  });

  it('fails when it comes to the one that cannot be read, and not before', async () => {
    files.unreadable = segments[2]!.path;
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { start } of readInTurn(files, segments)) seen.push(start);
    };
    await expect(read()).rejects.toThrow('EIO');
    expect(seen).toEqual(segments.slice(0, 2).map(({ base }) => base));
    expect(files.opened).toBe(0);
  });

  it('leaves no file open when it is not read to the end', async () => {
    for await (const { start } of readInTurn(files, segments)) if (start > 0) break;
    expect(files.opened).toBe(0);
  });
});

describe('the header of a segment', () => {
  const segment = (): Segment => segments[1]!;
  const headerOf = (base: number): Buffer => encodeSegmentHeader(base, 1_800_000_000_000);
  const isValid = (header: Buffer): boolean => headerIsValid(blockOf(header, segment().base), segment());

  it('says when it was made', () => {
    expect(isValid(headerOf(segment().base))).toBe(true);
    expect(segment().createdAtMs).toBe(1_800_000_000_000);
  });

  it('is damaged when any bit of it is flipped, when it is not whole, and when it is another one’s', () => {
    const header = headerOf(segment().base);
    for (let byte = 0; byte < SEGMENT_HEADER_BYTES; byte++) {
      const damaged = Buffer.from(header);
      damaged[byte]! ^= 1 << (byte % 8);
      expect(isValid(damaged)).toBe(false);
      expect(isValid(header.subarray(0, byte))).toBe(false);
    }
    expect(isValid(headerOf(0))).toBe(false);
  });

  it('of another format version is none that is damaged: to cut the file would destroy it', () => {
    const header = headerOf(segment().base);
    header.writeUInt32LE(99, 8);
    header.writeUInt32LE(crc32(header.subarray(0, SEGMENT_HEADER_BYTES - 4)), SEGMENT_HEADER_BYTES - 4);
    expect(() => isValid(header)).toThrow('format version 99');
  });
});

describe('an entry', () => {
  /** One that was written at a position, by itself. */
  const entryAt = (position: number): Buffer => {
    const entry = Buffer.alloc(ENTRY_HEADER_BYTES + 4);
    entry.writeUInt32LE(entry.byteLength, 0);
    entry.writeUInt8(EntryType.MESSAGES, 8);
    entry.writeUInt8(1, 9);
    entry.writeUInt32LE(entryChecksum(entry.subarray(8), position), 4);
    return entry;
  };
  const bytes = Buffer.alloc(200);

  it('is found behind damage, byte by byte', () => {
    entryAt(1_077).copy(bytes.fill(0), 77);
    expect(findValidEntry(blockOf(bytes, 1_000), 1_001)).toMatchObject({ position: 1_077 });
  });

  it('is none when any bit of it is flipped', () => {
    const entry = entryAt(1_077);
    for (let byte = 0; byte < entry.byteLength; byte++) {
      const damaged = Buffer.from(entry);
      damaged[byte]! ^= 1 << (byte % 8);
      damaged.copy(bytes.fill(0), 77);
      expect(findValidEntry(blockOf(bytes, 1_000), 1_001)).toBeUndefined();
    }
  });

  it('is none in another place than it was written for: a message may hold a copy of the journal', () => {
    entryAt(1_077).copy(bytes.fill(0), 78);
    expect(findValidEntry(blockOf(bytes, 1_000), 1_001)).toBeUndefined();
  });
});
