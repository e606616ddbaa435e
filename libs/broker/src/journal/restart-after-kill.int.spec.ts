import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, stored, textOf } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

let sandbox: BrokerSandbox;
beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ segmentBytes: 64 * 1024 });
});
afterEach(() => sandbox.cleanUp());

describe('a broker that is started after it was killed between a write and its sync', () => {
  it.each([
    [
      'answers for what it found',
      async ({ session }: EngineClient) => {
        const [receipt] = await session.append([message('x', { id: 'm' })]);
        expect(receipt).toMatchObject({ status: 'SEND_OK', duplicate: true });
      },
      ['m'],
    ],
    [
      'hands over what it found',
      async (client: EngineClient) => {
        await client.attach();
        expect(textOf(await client.take())).toBe('x');
      },
      ['m'],
    ],
    [
      'begins another segment',
      async ({ session }: EngineClient) => {
        await session.append([message('x'.repeat(70_000), { id: 'more' })]);
      },
      ['m', 'more'],
    ],
  ])('%s only once it is on disk: a power cut then takes nothing', async (_, goOn, ids) => {
    const files = new MemoryFiles();
    const broker = await sandbox.open({ files });
    await broker.createTopic('t', { partitions: 1 });
    files.failsToSync = () => true;
    const unanswered = new EngineClient(broker).session.append([message('x', { id: 'm' })]);
    await expect(unanswered).rejects.toThrow('STORAGE_FAILED');

    const left = files.kill();
    await goOn(new EngineClient(await sandbox.reopen({ files: left })));
    const after = await sandbox.reopen({ files: left.crash() });
    expect((await stored(after)).get('t/0')).toEqual(ids);
  });
});
