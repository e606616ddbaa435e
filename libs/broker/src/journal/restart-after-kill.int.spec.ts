import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, stored } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { JournalFile } from './files.js';

/** Writes reach the page cache, and no sync the disk, once `syncFails`. */
class LosesSyncs extends MemoryFiles {
  syncFails = false;

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    return { ...file, datasync: () => (this.syncFails ? Promise.reject(new Error('EIO')) : file.datasync()) };
  }
}

let sandbox: BrokerSandbox;
beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ segmentBytes: 64 * 1024 });
});
afterEach(() => sandbox.cleanUp());

describe('a broker that is started after it was killed between a write and its sync', () => {
  it.each([
    ['answers for what it found', []],
    ['begins another segment', ['x'.repeat(70_000)]],
  ])('%s only once it is on disk: a power cut then takes nothing', async (_, more) => {
    const files = new LosesSyncs();
    const broker = await sandbox.open({ files });
    await broker.createTopic('t', { partitions: 1 });
    files.syncFails = true;
    const unanswered = new EngineClient(broker).session.append([message('x', { id: 'm' })]);
    await expect(unanswered).rejects.toThrow('STORAGE_FAILED');

    const left = files.kill();
    const { session } = new EngineClient(await sandbox.reopen({ files: left }));
    const [receipt] = await session.append([message('x', { id: 'm' })]);
    expect(receipt).toMatchObject({ status: 'SEND_OK', duplicate: true });
    for (const body of more) await session.append([message(body, { id: 'more' })]);

    const after = await sandbox.reopen({ files: left.crash() });
    expect((await stored(after)).get('t/0')).toEqual(['m', ...more.map(() => 'more')]);
  });
});
