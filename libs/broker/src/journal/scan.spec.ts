import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryFiles } from '../testing/memory-files.js';
import type { JournalFile } from './files.js';
import { readInTurn } from './scan.js';
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
