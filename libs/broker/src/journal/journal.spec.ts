import { beforeEach, describe, expect, it } from '@jest/globals';
import type { MessagingError } from '#libs/messaging/port';
import { MemoryFiles } from '../testing/memory-files.js';
import { until } from '../testing/until.js';
import { EntryType, MAX_ENTRY_BYTES } from './format.js';
import { Journal } from './journal.js';
import { Segments } from './segments.js';

const KIB = 1024;
let files: MemoryFiles;
let journal: Journal;
let segments: Segments;
let snapshotBytes: number;
let tooLong: number;
let failures: string[];

beforeEach(() => {
  files = new MemoryFiles();
  const options = {
    files,
    segmentBytes: 64 * KIB,
    tailCacheBytes: KIB,
    readCacheBytes: KIB,
    asyncFlushMs: 10,
    asyncFlushBytes: KIB,
    now: () => 0,
  };
  const ignore = (): void => undefined;
  const observer = {
    startCommit: () => ({ written: ignore, durable: ignore }),
    failed: ({ code }: MessagingError) => void failures.push(code),
    firstEntry: () => ({
      bodyBytes: snapshotBytes,
      write: () => {
        if (snapshotBytes > 0) writeBytes(snapshotBytes, EntryType.SNAPSHOT);
      },
    }),
    firstEntryTooLong: () => void (tooLong += 1),
    mayGrow: () => true,
  };
  snapshotBytes = 0;
  tooLong = 0;
  failures = [];
  segments = new Segments(files, 'journal');
  journal = new Journal(segments, options, observer, 0);
});

const write = (): void => {
  journal.begin(EntryType.MESSAGES, 0);
  journal.finish();
  journal.kick();
};

const writeBytes = (bytes: number, type: EntryType = EntryType.PREPARED): void => {
  journal.begin(type, bytes).at += bytes;
  journal.finish();
};

it('gives every entry type a number of its own', () => {
  const numbers = Object.values(EntryType);
  expect(new Set(numbers).size).toBe(numbers.length);
});

describe('a segment', () => {
  const sizes = (): number[] => segments.all.slice(0, -1).map(({ base, end }) => end - base);

  it('is closed before it grows beyond its size', () => {
    snapshotBytes = 10 * KIB;
    for (let n = 0; n < 200; n++) writeBytes(KIB);
    expect(sizes().length).toBeGreaterThan(2);
    for (const size of sizes()) expect(size).toBeLessThanOrEqual(64 * KIB);
  });

  it('of which the snapshot is large has room for as much behind it', () => {
    snapshotBytes = 100 * KIB;
    for (let n = 0; n < 200; n++) writeBytes(KIB);
    expect(sizes().length).toBeGreaterThan(0);
    for (const size of sizes()) expect(Math.round(size / KIB)).toBeCloseTo(200, -1);
  });

  it('is not started while its snapshot does not fit into an entry: the one before goes on', () => {
    writeBytes(KIB);
    snapshotBytes = MAX_ENTRY_BYTES;
    for (let n = 0; n < 200; n++) writeBytes(KIB);
    expect(segments.all).toHaveLength(1);
    // Not tried at every entry: to make it takes seconds.
    expect(tooLong).toBe(3);
    snapshotBytes = KIB;
    for (let n = 0; n < 100; n++) writeBytes(KIB);
    expect(segments.all.length).toBeGreaterThan(1);
  });

  it('never gets longer than recovery can read: rather is an entry refused', () => {
    writeBytes(KIB);
    snapshotBytes = MAX_ENTRY_BYTES;
    const [segment] = segments.all;
    journal.end = segment!.base + 2 * MAX_ENTRY_BYTES - KIB;
    expect(() => writeBytes(KIB)).toThrow('MESSAGE_TOO_LARGE');
    expect(segments.all).toHaveLength(1);
  });

  it('has no entry that recovery would take for damage: one that is too long is refused', () => {
    writeBytes(KIB);
    const { end } = journal;
    expect(() => journal.begin(EntryType.PREPARED, MAX_ENTRY_BYTES)).toThrow('MESSAGE_TOO_LARGE');
    writeBytes(KIB);
    expect(journal.end - end).toBeLessThan(2 * KIB);
  });

  it('may be larger for one entry alone', () => {
    for (let n = 0; n < 3; n++) writeBytes(100 * KIB);
    expect(segments.all).toHaveLength(3);
  });
});

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

describe('what nobody waits for', () => {
  it('is on disk a short while later', async () => {
    write();
    await until(() => journal.written === journal.end);
    await until(() => journal.durable === journal.end, 'a sync that nobody asked for');
  });
});

describe.each(['written', 'durable'] as const)('a journal whose file fails before it is %s', (goal) => {
  it('tells all who wait, and once its owner; nothing that comes later is taken', async () => {
    write();
    await journal.flush('durable');
    files.failAt(files.calls + (goal === 'written' ? 1 : 2), 'EIO');
    write();
    const answers: string[] = [];
    const answered = (error: { code?: string } | void): unknown => answers.push(error?.code ?? 'flushed');
    void journal.flush('written').then(answered, answered);
    void journal.flush('durable').then(answered, answered);
    await until(() => answers.length === 2);
    expect(answers).toEqual([goal === 'written' ? 'STORAGE_FAILED' : 'flushed', 'STORAGE_FAILED']);
    expect(failures).toEqual(['STORAGE_FAILED']);
    const { calls } = files;
    // A second sync would report success for pages that the kernel has dropped.
    expect(write).toThrow('STORAGE_FAILED');
    await expect(journal.flush('durable')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await journal.close();
    expect(files.calls).toBe(calls);
  });
});
