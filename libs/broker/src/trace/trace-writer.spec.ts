import { crc32 } from 'node:zlib';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { TraceEvent } from '#libs/messaging/port';
import { MemoryFiles } from '../testing/memory-files.js';
import { Actor, MAX_ACTORS } from './actors.js';
import { Trace, stepNumber } from './trace.js';
import { TraceWriter } from './trace-writer.js';

const [STORED, ACKED] = [stepNumber('stored'), stepNumber('acked')];
const END = 1_000_000;
const consumer = new Actor('g', 'shop', 'node-1');

let disk: MemoryFiles;
let problems: string[];
let nowMs: number;
beforeEach(() => {
  disk = new MemoryFiles();
  problems = [];
  nowMs = 0;
});

/** A run of a broker, as far as its trace goes. */
class Run {
  readonly trace: Trace;
  private readonly writer: TraceWriter;

  private constructor(size: number, flush: () => Promise<void>) {
    this.trace = new Trace(size);
    const host = {
      journal: { flush, failed: undefined },
      monotonicMs: () => nowMs,
      report: ({ message }: { message: string }) => problems.push(message),
    };
    this.writer = new TraceWriter(host, this.trace, disk, 'data');
  }

  static async open(size = 100, { end = END, flush = () => Promise.resolve() } = {}): Promise<Run> {
    const run = new Run(size, flush);
    await run.writer.open(end);
    return run;
  }

  /** Has all that is new written, as once a second, and waits for it. */
  async write(): Promise<void> {
    this.writer.write();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  close(): Promise<void> {
    return this.writer.close();
  }

  get steps(): TraceEvent[] {
    const ids = new Map(Array.from({ length: END / 100 }, (_, i) => [i * 100, 'a'] as const));
    return this.trace.of(new Set(['a']), ids).get('a')!;
  }

  get times(): number[] {
    return this.steps.map(({ atMs }) => atMs);
  }

  record(...times: number[]): this {
    for (const atMs of times) this.trace.addRecord(atMs * 100, STORED, atMs);
    return this;
  }
}

function versionOf(version: number): Buffer {
  const header = Buffer.alloc(16);
  header.write('STAMPTRC');
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  return header;
}

const only = (): string => {
  expect(disk.paths()).toHaveLength(1);
  return disk.paths()[0]!;
};

describe('the trace in files', () => {
  it('is there after the process was killed, with who did each step, and in its order', async () => {
    const first = await Run.open();
    first.record(1);
    first.trace.add('a', 'retried', 2, consumer, 'no database');
    await first.write();
    first.trace.addRecord(300, ACKED, 3, new Actor('g', 'shop', 'node-2'));
    first.trace.add('a', 'redriven', 4, new Actor('g'));
    await first.write();
    const told = [
      { step: 'stored', atMs: 1 },
      { step: 'retried', atMs: 2, group: 'g', consumer: 'shop', node: 'node-1', detail: 'no database' },
      { step: 'acked', atMs: 3, group: 'g', consumer: 'shop', node: 'node-2' },
      { step: 'redriven', atMs: 4, group: 'g' },
    ];
    expect((await Run.open()).steps).toEqual(told);

    const second = await Run.open();
    second.trace.addRecord(500, ACKED, 5, new Actor('other', 'mail', 'node-3'));
    await second.close();
    const later = { step: 'acked', atMs: 5, group: 'other', consumer: 'mail', node: 'node-3' };
    expect((await Run.open()).steps).toEqual([...told, later]);
    expect(problems).toEqual([]);
  });

  it('waits for the records that its steps are of, and has nothing wait for it', async () => {
    let flushed = (): void => undefined;
    const run = await Run.open(10, { flush: () => new Promise((resolve) => (flushed = resolve)) });
    await run.record(1).write();
    expect(disk.paths()).toEqual([]);
    run.record(2);
    flushed();
    await run.write();
    expect((await Run.open()).times).toEqual([1]);
  });

  it('leaves out a torn end, wherever it is torn, and goes on in the next file', async () => {
    const first = await Run.open();
    const lengths = [];
    for (const atMs of [1, 2, 3]) {
      await first.record(atMs).write();
      lengths.push(disk.content(only()).byteLength);
    }
    const whole = disk.content(only());
    for (let length = 0; length < whole.byteLength; length++) {
      disk = new MemoryFiles();
      disk.put('data/trace/00000001.trace', whole.subarray(0, length));
      const run = await Run.open();
      const kept = [1, 2, 3].slice(0, lengths.filter((end) => end <= length).length);
      expect(run.times).toEqual(kept);
      await run.record(9).write();
      expect((await Run.open()).times).toEqual([...kept, 9]);
    }
    expect(problems).toEqual([]);
  });

  it('hands out no step of a batch with a flipped bit, whichever it is, nor any behind it in that file', async () => {
    const first = await Run.open(10);
    for (const atMs of [1, 2, 3, 4, 5, 6]) await first.record(atMs).write();
    const [path, next] = disk.paths();
    expect(next).toBeDefined();
    const whole = Buffer.from(disk.content(path!));
    for (let at = 0; at < whole.byteLength; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 1 << (at % 8);
      disk.put(path!, damaged);
      const { times } = await Run.open(10);
      expect(times.length).toBeLessThan(6);
      expect(times).toEqual([...[1, 2, 3, 4, 5].slice(0, times.length - 1), 6]);
    }
    // But for those whose length looks as if more was to come: it is the end of a process then.
    expect(problems.length).toBeGreaterThan(whole.byteLength * 0.9);
    expect(problems[0]).toMatch(/^data\/trace\/00000001.trace is none of the trace; it is missing from/);
  });

  it.each([
    ['is of another version', versionOf(2), 'is of version 2, and this broker reads 1'],
    ['is not of the trace', Buffer.from('a letter that somebody keeps here'), 'is none of the trace'],
    ['is too long', Buffer.alloc(33 * 1024 * 1024), 'is longer than a file of the trace'],
  ])('leaves out a file that %s, tells it, and writes beside it', async (_what, content, problem) => {
    disk.put('data/trace/00000007.trace', content);
    const run = await Run.open();
    expect(problems).toEqual([`data/trace/00000007.trace ${problem}; it is missing from the trace`]);
    await run.record(1).write();
    expect(disk.paths()).toEqual(['data/trace/00000007.trace', 'data/trace/00000008.trace']);
    expect(disk.content('data/trace/00000007.trace').equals(content)).toBe(true);
    expect((await Run.open()).times).toEqual([1]);
  });

  it('keeps as many steps as are remembered, in bounded space, however many are recorded and however long they are', async () => {
    const size = 1_000;
    let run = await Run.open(size);
    for (let atMs = 0; atMs < 9_000; atMs += 300) {
      for (let i = 0; i < 300; i++) run.trace.addRecord(100, STORED, atMs + i, consumer);
      await run.write();
      const recorded = atMs + 300;
      const again = await Run.open(size);
      expect(again.times).toEqual(
        Array.from({ length: recorded }, (_, i) => i).slice(-Math.min(size, recorded)),
      );
      if (atMs % 900 === 0) run = again;
      expect(disk.paths().length).toBeLessThan(5);
    }

    const detail = 'x'.repeat(40_000);
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 10; i++) run.trace.add('a', 'retried', 10_000, consumer, detail);
      await run.write();
    }
    const bytes = disk.paths().reduce((sum, path) => sum + disk.content(path).byteLength, 0);
    expect(bytes).toBeLessThan(9 * 1024 * 1024);
    expect((await Run.open(size)).steps.at(-1)).toMatchObject({ step: 'retried', detail });
  });

  it('keeps few files, also when each run ends with a torn one', async () => {
    for (let atMs = 0; atMs < 50; atMs++) {
      const run = await Run.open(1_000);
      await run.record(atMs).write();
      const newest = disk.paths().at(-1)!;
      disk.put(newest, Buffer.concat([disk.content(newest), Buffer.alloc(2)]));
    }
    expect(disk.paths().length).toBeLessThan(22);
    expect((await Run.open(1_000)).times.slice(-10)).toEqual([40, 41, 42, 43, 44, 45, 46, 47, 48, 49]);
  });

  it('writes more than one batch takes in as many as it needs, and nothing that the ring has lapped', async () => {
    const run = await Run.open(50_000);
    for (let i = 0; i < 120_000; i++) run.trace.addRecord(100, STORED, i);
    await run.write();
    expect((await Run.open(50_000)).times).toEqual(Array.from({ length: 50_000 }, (_, i) => 70_000 + i));
    const bytes = disk.paths().reduce((sum, path) => sum + disk.content(path).byteLength, 0);
    expect(bytes).toBeLessThan(50_000 * 20 + 1_000);
  });

  it('names nobody else when numbers of actors are given again', async () => {
    const run = await Run.open(4);
    for (let atMs = 1; atMs <= MAX_ACTORS + 10; atMs++) {
      run.trace.addRecord(100, ACKED, atMs, new Actor('g', `client-${atMs}`, 'node'));
      if (atMs % 2_000 < 30) await run.write();
    }
    await run.write();
    const { steps } = await Run.open(4);
    expect(steps).toHaveLength(4);
    for (const { atMs, consumer: by } of steps) expect(by).toBe(`client-${atMs}`);
  });

  it('forgets the steps of records that a power cut took, for good: others will lie there', async () => {
    const run = await Run.open();
    run.record(1, 2, 3);
    run.trace.add('a', 'retried', 4, consumer);
    await run.write();
    const cut = await Run.open(100, { end: 200 });
    expect(cut.times).toEqual([1, 4]);
    // Killed before it wrote anything more; the journal has grown over the place since.
    expect((await Run.open(100, { end: 900 })).times).toEqual([1, 4]);
    await cut.record(5).write();
    expect((await Run.open()).times).toEqual([1, 4, 5]);
  });

  it('forgets them for good also when the disk fails at the start that finds it out', async () => {
    await (await Run.open()).record(1, 2, 3).write();
    disk.failAt(disk.calls + 1, 'EIO');
    const cut = await Run.open(100, { end: 200 });
    nowMs += 60_000;
    await cut.record(4).write();
    expect((await Run.open()).times).toEqual([1, 4]);
  });

  it('leaves out a file that cannot be read, tells it, and writes beside it', async () => {
    for (const atMs of [1, 2]) await (await Run.open(2)).record(atMs).close();
    disk.failsToRead = (path) => path.endsWith('2.trace');
    const run = await Run.open(2);
    expect(problems).toEqual([
      expect.stringMatching(/00000002.trace cannot be read: .*; it is missing from/),
    ]);
    expect(run.times).toEqual([1]);
    for (const atMs of [3, 4, 5]) await run.record(atMs).write();
    expect((await Run.open(2)).times).toEqual([4, 5]);
    expect(problems).toHaveLength(1);
  });

  it.each(['ENOSPC', 'EIO'] as const)(
    'never rejects for %s, tells it once, and writes all that is remembered a minute later',
    async (code) => {
      const run = await Run.open();
      await run.record(1).write();
      disk.failAt(disk.calls + 1, code, true);
      await run.record(2).write();
      const { calls } = disk;
      await run.record(3).write();
      expect(disk.calls).toBe(calls);
      expect(problems).toEqual(['the trace is kept in memory only; it is tried again every minute']);
      nowMs += 60_000;
      await run.record(4).write();
      expect(problems).toHaveLength(1);
      disk.failAt(Infinity, code);
      await run.record(5).write();
      nowMs += 60_000;
      await run.record(6).write();
      expect((await Run.open()).times).toEqual([1, 2, 3, 4, 5, 6]);
      await run.close();
    },
  );

  it('gives its space to messages when the disk is full', async () => {
    const run = await Run.open();
    await run.record(1).write();
    disk.failAt(disk.calls + 1, 'ENOSPC');
    await run.record(2).write();
    expect(disk.paths()).toEqual([]);
    nowMs += 60_000;
    await run.write();
    expect((await Run.open()).times).toEqual([1, 2]);
  });

  it('writes what is left when it is closed, and leaves no file when it is off', async () => {
    await (await Run.open()).close();
    expect(disk.paths()).toEqual([]);
    await (await Run.open()).record(1).close();
    expect((await Run.open()).times).toEqual([1]);
    const off = await Run.open(0);
    await off.record(2).write();
    await off.close();
    expect(disk.paths()).toEqual([]);
  });
});
