import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { JournalFile } from '../journal/files.js';
import { BrokerSandbox, EngineClient, message } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

/** A disk whose syncs can be held up. */
class StuckFiles extends MemoryFiles {
  private freed = Promise.resolve();
  free: () => void = () => undefined;

  stick(): void {
    this.freed = new Promise((resolve) => (this.free = resolve));
  }

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    const datasync = (): Promise<void> => this.freed.then(() => file.datasync());
    return { ...file, datasync };
  }
}

let files: StuckFiles;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  files = new StuckFiles();
  sandbox = await BrokerSandbox.make({ files });
  broker = await sandbox.open();
  await broker.createTopic('t', { partitions: 1, flushTimeoutMs: 20 });
  await broker.createTopic('patient', { partitions: 1 });
  client = new EngineClient(broker);
});
afterEach(() => {
  files.free();
  return sandbox.cleanUp();
});

/** Lets the disk go on, and waits until all that was sent is on it. */
async function flushed(): Promise<void> {
  files.free();
  await client.session.append([message('0', { topic: 'patient' })]);
}

describe('a send whose flush takes longer than its topic waits', () => {
  it('is answered with FLUSH_TIMEOUT, is not delivered until it is on disk, and is then', async () => {
    await client.attach();
    files.stick();
    const [receipt] = await client.session.append([message('1')]);
    expect(receipt).toMatchObject({ status: 'FLUSH_TIMEOUT', topic: 't', partition: 0, offset: 0 });
    expect(client.delivered).toEqual([]);
    files.free();
    expect((await client.take()).message.id).toBe(receipt?.messageId);
  });

  it('is known by a repetition, which says whether it is on disk by now', async () => {
    files.stick();
    const send = () => client.session.append([message('1', { id: 'm1' })]);
    expect(await send()).toMatchObject([{ status: 'FLUSH_TIMEOUT', duplicate: false }]);
    expect(await send()).toMatchObject([{ status: 'FLUSH_TIMEOUT', duplicate: true, offset: 0 }]);
    await flushed();
    expect(await send()).toMatchObject([{ status: 'SEND_OK', duplicate: true, offset: 0 }]);
  });

  it('is known by its sequence, when its producer repeats it', async () => {
    const { producerId, epoch } = await client.session.openProducer({
      name: 'p',
      owner: 'o',
      renew: false,
    });
    files.stick();
    const send = () => client.session.append([message('1')], { producerId, epoch, sequence: 1 });
    const [first] = await send();
    expect(first).toMatchObject({ status: 'FLUSH_TIMEOUT' });
    expect(await send()).toMatchObject([{ status: 'FLUSH_TIMEOUT', messageId: first?.messageId, offset: 0 }]);
    await flushed();
    expect(await send()).toMatchObject([{ status: 'SEND_OK', messageId: first?.messageId, offset: 0 }]);
  });

  it('waits on where a topic of the same call sets no bound', async () => {
    files.stick();
    let answered = false;
    const sent = client.session
      .append([message('1'), message('2', { topic: 'patient' })])
      .finally(() => (answered = true));
    expect(await client.session.append([message('3')])).toMatchObject([{ status: 'FLUSH_TIMEOUT' }]);
    expect(answered).toBe(false);
    files.free();
    expect(await sent).toMatchObject([{ status: 'SEND_OK' }, { status: 'SEND_OK' }]);
  });

  it('is still bounded after a restart on what was written, and its bound is part of what a topic is', async () => {
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    files.stick();
    expect(await client.session.append([message('1')])).toMatchObject([{ status: 'FLUSH_TIMEOUT' }]);
    await expect(broker.createTopic('t', { flushTimeoutMs: 50 })).rejects.toThrow(
      'flushTimeoutMs 20, not 50',
    );
  });

  it.each([0, 1.5, NaN, 600_001])('cannot be bounded by %p ms', async (flushTimeoutMs) => {
    await expect(broker.createTopic('other', { flushTimeoutMs })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
