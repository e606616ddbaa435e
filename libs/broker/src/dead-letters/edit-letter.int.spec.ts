import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AuditEntry, DeadLetter, DeadLetterEdit } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  textOf,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

let files: MemoryFiles;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  files = new MemoryFiles();
  // What is old is read from its file: others have their turn meanwhile.
  sandbox = await BrokerSandbox.make({ clock: new ManualClock(), tailCacheBytes: 1, readCacheBytes: 1 });
  broker = await sandbox.open({ files });
  client = new EngineClient(broker);
  await client.attach();
  await client.session.append([message('broken', { id: 'm', headers: { kept: 'yes' } })]);
  const { deliveryId } = await client.take();
  await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
  for (let n = 0; n < 3; n++)
    await client.session.append([message('x'.repeat(600_000), { topic: 'filler' })]);
});
afterEach(() => sandbox.cleanUp());

const edit = (change: DeadLetterEdit): Promise<boolean> => client.admin('editDeadLetter', 'g', 'm', change);
const redrive = (): Promise<boolean> => client.admin('redrive', 'g', 'm');
const letters = (): Promise<DeadLetter[]> => client.admin('deadLetters', 'g');

describe('an edit of a dead letter', () => {
  it('changes what it names and nothing else, also after a kill, and is audited', async () => {
    expect(await edit({ body: Buffer.from('mended') })).toBe(true);
    broker = await sandbox.reopen({ files: files.kill() });
    client = new EngineClient(broker);
    const [letter] = await letters();
    expect(letter).toMatchObject({
      id: 'm',
      reason: 'rejected',
      error: 'no',
      message: { headers: { kept: 'yes' } },
    });
    expect(Buffer.from(letter!.message.body).toString()).toBe('mended');
    expect(letter!.attempts).toHaveLength(1);
    expect(await client.admin<AuditEntry[]>('audit')).toMatchObject([
      { action: 'edit-dead-letter', group: 'g', subject: 'm body' },
    ]);
  });

  it('undoes no other that is made at the same time', async () => {
    const both = [edit({ body: Buffer.from('mended') }), edit({ headers: { reason: 'mended' } })];
    expect(await Promise.all(both)).toEqual([true, true]);
    const [letter] = await letters();
    expect(Buffer.from(letter!.message.body).toString()).toBe('mended');
    expect(letter!.message.headers).toEqual({ reason: 'mended' });
  });

  it('finds nothing when the letter was given back while it was read', async () => {
    expect(await Promise.all([redrive(), edit({ body: Buffer.from('late') })])).toEqual([true, false]);
    expect(textOf(await client.take())).toBe('broken');
    await settled();
    expect(await letters()).toEqual([]);
  });

  it('is refused when it changes nothing, and for what no message may be', async () => {
    for (const wrong of [
      {},
      { body: 'text' },
      { headers: { a: 1 } },
      { headers: { a: 'x'.repeat(1_000_000) } },
    ])
      await expect(edit(wrong as unknown as DeadLetterEdit)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    const tooLarge = edit({ body: Buffer.alloc(10_000_000) });
    await expect(tooLarge).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    const [letter] = await letters();
    expect(Buffer.from(letter!.message.body).toString()).toBe('broken');
  });
});
