import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryFiles } from '../testing/memory-files.js';
import { EntryType } from './format.js';
import { Journal } from './journal.js';
import { Segments } from './segments.js';

const KIB = 1024;
let files: MemoryFiles;
let journal: Journal;

beforeEach(() => {
  files = new MemoryFiles();
  const options = {
    files,
    segmentBytes: 64 * KIB,
    tailCacheBytes: KIB,
    readCacheBytes: KIB,
    asyncFlushMs: 1_000,
    asyncFlushBytes: KIB,
    now: () => 0,
  };
  const ignore = (): void => undefined;
  const observer = {
    startCommit: () => ({ written: ignore, durable: ignore }),
    failed: ignore,
    segmentStarted: ignore,
  };
  journal = new Journal(new Segments(files, 'journal'), options, observer, 0);
});

const write = (): void => {
  journal.begin(EntryType.MESSAGES, 0);
  journal.finish();
  journal.kick();
};

describe('a journal that is closed', () => {
  it('has on disk what came until then', async () => {
    write();
    const closing = journal.close();
    write();
    await closing;
    expect(journal.durable).toBe(journal.end);
  });

  it('takes nothing more: its directory may be another broker’s', async () => {
    write();
    await journal.close();
    const { calls } = files;
    expect(write).toThrow('closed');
    expect(files.calls).toBe(calls);
  });
});
