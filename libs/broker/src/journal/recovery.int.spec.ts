import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, ManualClock, message, stored } from '../testing/engine-client.js';
import { describeEntry } from '../inspect/describe-entry.js';
import { readSegmentFile } from '../inspect/read-segment-file.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { RECORD_HEADER_BYTES } from '../topics/record.js';
import { ENTRY_HEADER_BYTES, EntryType, entryChecksum } from './format.js';
import type { FoundEntry } from './scan.js';

const clock = new ManualClock();
let sandbox: BrokerSandbox;

beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ clock, traceSteps: 0, tailCacheBytes: 1024 * 1024 });
});
afterEach(() => sandbox.cleanUp());

const idsOf = (found: Map<string, string[]>): string[] => [...found.values()].flat().sort();

/** A small log with several entries and every kind of state in it; resolves to its files and the ids that were acknowledged. */
async function smallLog(): Promise<{ files: MemoryFiles; path: string; acknowledged: string[] }> {
  const files = new MemoryFiles();
  const broker = await sandbox.open({ files });
  const client = new EngineClient(broker);
  const acknowledged: string[] = [];
  for (const id of ['m1', 'm2', 'm3']) {
    await client.session.append([message(`body of ${id}`, { id, key: id })]);
    acknowledged.push(id);
  }
  await client.attach();
  await client.ack(await client.take());
  await client.retry(await client.take(), 1_000);
  const transaction = await client.session.prepare('p', [message('half', { id: 'm4' })]);
  await client.session.decide(transaction, 'commit');
  acknowledged.push('m4');
  await broker.close();
  const after = files.kill();
  return { files: after, path: after.paths()[0]!, acknowledged };
}

describe('recovery', () => {
  it('cuts a torn tail at any byte to the last whole entry, and appends after it', async () => {
    const { files, path, acknowledged } = await smallLog();
    const whole = files.content(path);
    let before = 0;
    for (let length = 0; length <= whole.byteLength; length++) {
      const torn = new MemoryFiles();
      torn.put(path, Buffer.from(whole.subarray(0, length)));
      const broker = await sandbox.open({ files: torn });
      const found = idsOf(await stored(broker)).filter((id, i, all) => all.indexOf(id) === i);
      expect(acknowledged).toEqual(expect.arrayContaining(found));
      expect(found.length).toBeGreaterThanOrEqual(before);
      before = found.length;
      const { session } = new EngineClient(broker);
      await session.append([message('more', { id: 'more' })]);
      const again = await sandbox.reopen({ files: torn.kill() });
      expect(idsOf(await stored(again))).toContain('more');
      await again.close();
    }
    expect(before).toBe(acknowledged.length);
  }, 240_000);

  it('refuses by name, or leaves out on request, a log in which any one bit is flipped', async () => {
    const { files, path, acknowledged } = await smallLog();
    const whole = files.content(path);
    let refused = 0;
    for (let byte = 0; byte < whole.byteLength; byte++) {
      const damaged = Buffer.from(whole);
      damaged[byte]! ^= 1 << (byte % 8);
      const flipped = new MemoryFiles();
      flipped.put(path, damaged);
      try {
        const broker = await sandbox.open({ files: flipped });
        // Only the last entry may be taken for a torn tail: nothing behind it says that it was on disk.
        const found = idsOf(await stored(broker));
        expect(acknowledged).toEqual(expect.arrayContaining(found));
        expect(new Set(found).size).toBeGreaterThanOrEqual(acknowledged.length - 1);
        await broker.close();
      } catch (error) {
        expect(String(error)).toMatch(/LOG_CORRUPT.*00000000000000000000\.log/);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(whole.byteLength / 2);
  }, 240_000);

  it.each([0, 2 ** 31])(
    'comes to an end, as a dump does, with a valid entry whose record says that it has %p bytes',
    async (recordBytes) => {
      const { files, path } = await smallLog();
      await readSegmentFile(
        path,
        ({ type, block, at, length, position }: FoundEntry) => {
          if (type !== EntryType.PREPARED) return;
          const recordAt = block.bytes.indexOf('m4\0a\0', at) - RECORD_HEADER_BYTES;
          expect(recordAt).toBeGreaterThan(at + ENTRY_HEADER_BYTES);
          const entry = files.content(path).subarray(at, at + length);
          entry.writeUInt32LE(recordBytes, recordAt - at);
          entry.writeUInt32LE(entryChecksum(entry.subarray(8), position), 4);
        },
        () => undefined,
        files,
      );
      const refused = `LOG_CORRUPT: a record of ${recordBytes} bytes at position`;
      await expect(sandbox.open({ files })).rejects.toThrow(refused);
      const dump = (entry: FoundEntry): unknown => describeEntry(entry, new Map());
      await expect(readSegmentFile(path, dump, () => undefined, files)).rejects.toThrow(refused);
    },
  );
});
