import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, stored } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const problems: string[] = [];
let sandbox: BrokerSandbox;

beforeEach(async () => {
  problems.length = 0;
  sandbox = await BrokerSandbox.make({
    segmentBytes: 64 * 1024,
    // Nothing is synced that nobody waits for.
    asyncFlushMs: 3_600_000,
    onProblem: ({ message: text }) => void problems.push(text),
  });
});
afterEach(() => sandbox.cleanUp());

const journalFiles = (files: MemoryFiles): string[] => files.paths().filter((path) => path.endsWith('.log'));
const idsOf = async (files: MemoryFiles): Promise<string[]> =>
  (await stored(await sandbox.reopen({ files }))).get('t/0') ?? [];

/** Sends one message after the other, each in an entry of its own, to a topic that is synced or is not. */
async function send(files: MemoryFiles, flush: 'sync' | 'async', ids: string[], bytes = 10): Promise<void> {
  const broker = await sandbox.reopen({ files });
  await broker.createTopic('t', { partitions: 1, flush });
  const { session } = new EngineClient(broker);
  for (const id of ids) await session.append([message('x'.repeat(bytes), { id })]);
}

/** Zeroes the entry of a message, in the page cache and on the disk. */
function tear(files: MemoryFiles, id: string): void {
  const path = journalFiles(files).find((each) => files.content(each).includes(`${id}\0`))!;
  const content = Buffer.from(files.content(path));
  const at = content.indexOf(`${id}\0`);
  content.fill(0, at, at + 10);
  files.put(path, content);
}

/** `m1`, which is on disk since the broker was closed, and behind it what a power cut left of two that are not: the second one whole, the first one not. */
async function torn(): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  await send(files, 'async', ['m1']);
  await send(files, 'async', ['m2', 'm3']);
  const left = files.kill();
  tear(left, 'm2');
  return left;
}

describe('a torn tail', () => {
  it('is cut, and that is told: what is written where it was brings back nothing of it', async () => {
    const files = await torn();
    // As long as the one that it takes the place of.
    await send(files, 'async', ['m4']);
    expect(problems.join('\n')).toMatch(/cut a torn tail of \d+ bytes off/);
    expect(await idsOf(files.kill())).toEqual(['m1', 'm4']);
  });

  it('is cut on disk before the journal goes on in another file: a power cut does not bring it back', async () => {
    const files = await torn();
    await send(files, 'async', ['large'], 70_000);
    const { session } = new EngineClient(await sandbox.reopen({ files: files.kill() }));
    await session.close();
    expect(journalFiles(files)).toHaveLength(2);
    expect(await idsOf(files.crash(({ bytes }) => bytes))).toEqual(['m1', 'large']);
  });

  it('takes the segments behind it along', async () => {
    const files = new MemoryFiles();
    await send(files, 'async', ['m1', 'm2', 'm3', 'm4'], 20_000);
    expect(journalFiles(files)).toHaveLength(2);
    const left = files.kill();
    // As after a death in the moment in which the second one was begun: nothing says that the first is on disk.
    await left.unlink(left.paths().find((path) => path.endsWith('/newest'))!);
    tear(left, 'm3');
    // The first segment gets longer than it was, and so the next one begins elsewhere.
    const more = Array.from({ length: 30 }, (_, n) => `more${n}`);
    await send(left, 'async', more, 1_000);
    expect(journalFiles(left)).toHaveLength(2);
    expect(await idsOf(left.kill())).toEqual(['m1', 'm2', ...more]);
  });
});

describe('an end that was on disk and is not there', () => {
  it('is damage when the last run says so, which ended in good order', async () => {
    const files = new MemoryFiles();
    await send(files, 'sync', ['m1']);
    const [path] = journalFiles(files);
    const { byteLength } = files.content(path!);
    const broker = await sandbox.reopen({ files });
    await new EngineClient(broker).session.append([message('x', { id: 'm2' })]);
    await broker.close();
    const left = files.kill();
    // Between two entries: by itself, what is left looks whole.
    left.put(path!, files.content(path!).subarray(0, byteLength));
    await expect(sandbox.reopen({ files: left })).rejects.toThrow(/LOG_CORRUPT.*had been on disk/);
    const opened = await sandbox.reopen({ files: left, onDamage: 'quarantine' });
    expect(opened.lostRanges).toHaveLength(1);
  });

  it('is no damage when nothing says so but a mark that is torn itself', async () => {
    const files = new MemoryFiles();
    await send(files, 'sync', ['m1']);
    await sandbox.reopen({ files: new MemoryFiles() });
    const left = files.kill();
    const mark = left.paths().find((path) => path.endsWith('/durable'))!;
    const bytes = Buffer.from(left.content(mark));
    bytes.writeDoubleLE(1_000_000, 0);
    left.put(mark, bytes);
    expect(await idsOf(left)).toEqual(['m1']);
  });

  it('is damage when the next segment says so, also in a directory of before the mark of the newest one', async () => {
    const files = new MemoryFiles();
    await send(files, 'sync', ['m1', 'm2', 'm3', 'm4'], 20_000);
    expect(journalFiles(files)).toHaveLength(2);
    const left = files.kill();
    tear(left, 'm3');
    await expect(sandbox.reopen({ files: left.kill() })).rejects.toThrow(/LOG_CORRUPT.*is damaged at byte/);
    await left.unlink(left.paths().find((path) => path.endsWith('/newest'))!);
    await expect(sandbox.reopen({ files: left })).rejects.toThrow(/LOG_CORRUPT.*is damaged at byte/);
  });
});
