import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { verifyJournal } from '../inspect/verify-journal.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  stored,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const clock = new ManualClock();
const problems: string[] = [];
let sandbox: BrokerSandbox;

beforeEach(async () => {
  problems.length = 0;
  sandbox = await BrokerSandbox.make({
    clock,
    segmentBytes: 64 * 1024,
    retention: { maxAgeMs: 60_000 },
    onProblem: ({ message: text }) => void problems.push(text),
  });
});
afterEach(() => sandbox.cleanUp());

const segmentsOf = (files: MemoryFiles): string[] => files.paths().filter((path) => path.endsWith('.log'));

/** Forty messages over several segments; a group has to read them all if `isNeeded`. */
async function forty(isNeeded: boolean): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const broker = await sandbox.reopen({ files });
  await broker.createTopic('t', { partitions: 1 });
  const client = new EngineClient(broker);
  const { session } = client;
  if (isNeeded) await session.detach(await client.attach());
  for (let n = 0; n < 40; n++) {
    await session.append([message('x'.repeat(8_000), { id: `m${n}` })]);
    clock.advance(1_000);
  }
  await broker.close();
  return files.kill();
}

describe('a journal whose first segment is missing', () => {
  it('is refused by the name of the file, and opened on request with what is lost told', async () => {
    const files = await forty(true);
    const [first] = segmentsOf(files);
    await files.unlink(first!);
    await expect(sandbox.open({ files })).rejects.toThrow(`LOG_CORRUPT: ${first} is missing`);
    expect((await verifyJournal(sandbox.dir, files)).damaged).toMatchObject([{ path: first, from: 0 }]);
    let broker = await sandbox.open({ files, onDamage: 'quarantine' });
    expect(broker.lostOffsets).toMatchObject([{ topic: 't', partition: 0, from: 0 }]);
    expect(problems.join('\n')).toMatch(/t\/0: offsets 0 to \d+ are lost/);
    const kept = (await stored(broker)).get('t/0');
    expect(kept).toContain('m39');
    broker = await sandbox.reopen({ files });
    expect((await stored(broker)).get('t/0')).toEqual(kept);
  });

  it('is not one from which retention dropped it, at whatever step the process died', async () => {
    for (let step = 1; step <= 9; step++) {
      const files = await forty(false);
      const before = segmentsOf(files).length;
      const broker = await sandbox.open({ files });
      if (step < 9) files.failAt(files.calls + step, 'EIO', true);
      clock.advance(600_000);
      broker.tick();
      await until(() => problems.length > 0 || segmentsOf(files).length === 1);
      if (step === 9) expect(before).toBeGreaterThan(2);
      problems.length = 0;
      await sandbox.reopen({ files: files.kill() });
      expect(problems).toEqual([]);
      await sandbox.reopen({ files: files.crash() });
      expect(problems).toEqual([]);
    }
  });

  it('is told of when the mark of its start is missing as well', async () => {
    const files = await forty(true);
    await files.unlink(segmentsOf(files)[0]!);
    await files.unlink(files.paths().find((path) => path.endsWith('/start'))!);
    await sandbox.open({ files });
    expect(problems.join('\n')).toMatch(/begins at position \d+, and its mark "start" is not there/);
    problems.length = 0;
    await sandbox.reopen({ files });
    expect(problems).toEqual([]);
  });
});
