import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { verifyJournal } from '../inspect/verify-journal.js';
import { BrokerSandbox, EngineClient, message, stored } from '../testing/engine-client.js';
import { MemoryFiles, type NamesKept } from '../testing/memory-files.js';

const problems: string[] = [];
let sandbox: BrokerSandbox;

beforeEach(async () => {
  problems.length = 0;
  sandbox = await BrokerSandbox.make({
    segmentBytes: 64 * 1024,
    traceSteps: 0,
    onProblem: ({ message: text }) => void problems.push(text),
  });
});
afterEach(() => sandbox.cleanUp());

const segmentsOf = (files: MemoryFiles): string[] => files.paths().filter((path) => path.endsWith('.log'));
const idsIn = async (files: MemoryFiles): Promise<string[]> =>
  [...(await stored(await sandbox.reopen({ files }))).values()].flat();

/** Opens, sends over some segments, and dies where `files` fail. What was confirmed. */
async function work(files: MemoryFiles, from: number, count = 9): Promise<string[]> {
  const confirmed: string[] = [];
  try {
    const { session } = new EngineClient(await sandbox.reopen({ files }));
    for (let n = from; n < from + count; n++) {
      await session.append([message('x'.repeat(9_000), { id: `m${n}`, key: 'k' })]);
      confirmed.push(`m${n}`);
    }
  } catch (error) {
    expect(String(error)).toMatch(/injected|STORAGE_FAILED/);
  }
  return confirmed;
}

/** A journal of some segments, of a broker that was killed. */
async function killed(): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  await work(files, 0, 22);
  return files.kill();
}

describe('a journal whose newest segment is missing', () => {
  it('is refused by the name of the file, told by a verification, and opened on request with the rest', async () => {
    const files = await killed();
    expect(segmentsOf(files).length).toBeGreaterThan(2);
    const newest = segmentsOf(files).at(-1)!;
    await files.unlink(newest);
    await expect(sandbox.reopen({ files })).rejects.toThrow(`LOG_CORRUPT: ${newest} is missing`);
    await expect(sandbox.reopen({ files })).rejects.toThrow(/BROKER_ON_DAMAGE=quarantine/);
    expect((await verifyJournal(sandbox.dir, files)).damaged).toMatchObject([{ path: newest }]);

    const broker = await sandbox.reopen({ files, onDamage: 'quarantine' });
    expect(problems.join('\n')).toContain(`left out damaged bytes of ${newest}`);
    const { session } = new EngineClient(broker);
    await session.append([message('after', { id: 'after' })]);
    await broker.close();
    const ids = await idsIn(files.crash());
    expect(ids).toContain('m0');
    expect(ids).toContain('after');
    expect((await verifyJournal(sandbox.dir, files)).damaged).toEqual([]);
  });

  it('is refused when all segments are missing, and when several are', async () => {
    const files = await killed();
    const [, ...later] = segmentsOf(files);
    for (const path of later) await files.unlink(path);
    await expect(sandbox.reopen({ files })).rejects.toThrow(`${later.at(-1)} is missing`);
    expect((await verifyJournal(sandbox.dir, files)).damaged).toContainEqual(
      expect.objectContaining({ path: later.at(-1) }),
    );
    await files.unlink(segmentsOf(files)[0]!);
    await expect(sandbox.reopen({ files })).rejects.toThrow('is missing');
  });

  it('is refused, too, when the process that began it died before it could note so', async () => {
    const files = new MemoryFiles();
    await work(files, 0);
    const before = segmentsOf(files).length;
    let isFound = false;
    for (let step = 1; !isFound; step++) {
      const dying = files.kill();
      dying.failAt(dying.calls + step, 'EIO', true);
      await work(dying, 100);
      if (segmentsOf(dying).length === before) continue;
      isFound = true;
      // The new segment is there and nothing more; whoever opens it goes on in it, and notes it.
      const next = dying.kill();
      expect(await work(next, 200)).toContain('m200');
      const [newest] = segmentsOf(next).slice(-1);
      await next.unlink(newest!);
      await expect(sandbox.reopen({ files: next.kill() })).rejects.toThrow(`${newest} is missing`);
    }
  });

  it('of a version that noted none is noted at the first start', async () => {
    const files = await killed();
    await files.unlink(files.paths().find((path) => path.endsWith('/newest'))!);
    await (await sandbox.reopen({ files })).close();
    const [newest] = segmentsOf(files).slice(-1);
    await files.unlink(newest!);
    await expect(sandbox.reopen({ files })).rejects.toThrow(`${newest} is missing`);
  });
});

const LAST: NamesKept = (index, count) => index === count - 1;
const POWER_CUTS: readonly (readonly [string, NamesKept])[] = [
  ['keeps every name', () => true],
  ['keeps no name that was not synced', () => false],
  ['keeps the last name alone', LAST],
  ['keeps all names but the last', (...at) => !LAST(...at)],
];

describe.each(POWER_CUTS)('a death at any step, after which a power cut %s,', (_name, namesKept) => {
  it('leaves a journal that opens and has what was confirmed, whatever segments were begun or taken back', async () => {
    const empty = new MemoryFiles();
    const healthy = new MemoryFiles();
    await work(healthy, 0);
    for (let step = 1; step <= healthy.calls; step++) {
      const files = empty.kill();
      files.failAt(step, 'EIO', true);
      const confirmed = await work(files, 0);
      // A start that takes back what was torn, and dies at it.
      for (let again = 1; again <= 6; again++) {
        const torn = files.crash(() => 0, namesKept);
        torn.failAt(again, 'EIO', true);
        await sandbox.reopen({ files: torn }).catch((error: unknown) => {
          expect(String(error)).toMatch(/injected/);
        });
        expect(await idsIn(torn.crash(() => 0, namesKept))).toEqual(expect.arrayContaining(confirmed));
      }
      expect(await idsIn(files.kill())).toEqual(expect.arrayContaining(confirmed));
    }
  }, 240_000);
});
