import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter, ErrorKind } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerSandbox, EngineClient, ManualClock, message, settled } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const COOL_DOWN_MS = 60_000;
const POLICY = { automaticRedrive: { coolDownMs: COOL_DOWN_MS, maxPerMessage: 2, ratePerSecond: 1_000 } };

let files: MemoryFiles;
let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  files = new MemoryFiles();
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock, files });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const letters = (): Promise<DeadLetter[]> => client.admin('deadLetters', 'g');
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  broker.tick();
  await settled();
};
/** Takes the next delivery and gives it up. */
async function giveUp(kind?: ErrorKind, reason: 'retries-exhausted' | 'rejected' = 'retries-exhausted') {
  const { deliveryId } = await client.take();
  await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason, kind, error: `${kind}` }]);
}
const send = (id: string) => client.session.append([message(id, { id })]);
const PATIENT = { leaseMs: 24 * 3_600_000 };

describe('automatic redrive', () => {
  it('gives back what failed because of the world, after the cool-down and not before', async () => {
    await client.attach({ ...POLICY, ...PATIENT });
    await send('m1');
    await giveUp('transient');
    await pass(COOL_DOWN_MS - 1);
    expect(await letters()).toMatchObject([{ id: 'm1', kind: 'transient', automaticRedrives: 0 }]);
    await pass(1_000);
    expect(await client.take()).toMatchObject({
      attempt: 1,
      message: { id: 'm1' },
      history: [{ attempt: 1 }],
    });
    expect(await letters()).toEqual([]);
    expect(await client.admin('audit')).toMatchObject([
      { by: 'broker', action: 'automatic-redrive', group: 'g', count: 1 },
    ]);
  });

  it.each([
    ['unknown', 'retries-exhausted'],
    ['invalid', 'rejected'],
    ['transient', 'rejected'],
    [undefined, 'retries-exhausted'],
  ] as const)('leaves a letter of the kind %s, %s, to an operator', async (kind, reason) => {
    await client.attach({ ...POLICY, ...PATIENT });
    await send('m1');
    await giveUp(kind, reason);
    for (let n = 0; n < 3; n++) await pass(COOL_DOWN_MS);
    expect(await letters()).toHaveLength(1);
    expect(client.delivered).toEqual([]);
  });

  it('does so only where a group asked for it, and while it has members', async () => {
    const consumer = await client.attach(PATIENT);
    await send('m1');
    await giveUp('transient');
    await pass(2 * COOL_DOWN_MS);
    expect(await letters()).toHaveLength(1);
    await client.session.detach(consumer);
    const asking = await client.attach({ ...POLICY, ...PATIENT });
    await client.session.detach(asking);
    await pass(2 * COOL_DOWN_MS);
    expect(await letters()).toHaveLength(1);
  });

  it('ends after its maximum: the count travels with the message, through retries, redrives by hand and crashes', async () => {
    await client.attach({ ...POLICY, ...PATIENT });
    await send('poison');
    await giveUp('transient');
    await pass(COOL_DOWN_MS + 1_000);
    // More failures than a history holds.
    for (let n = 0; n < 20; n++) await client.retry(await client.take(), 0);
    await giveUp('transient');
    expect(await letters()).toMatchObject([{ id: 'poison', automaticRedrives: 1 }]);
    await client.admin('redrive', 'g', 'poison');
    await giveUp('transient');
    files = files.kill();
    broker = await sandbox.reopen({ files });
    client = new EngineClient(broker);
    expect(await letters()).toMatchObject([{ id: 'poison', automaticRedrives: 1 }]);
    await client.attach({ ...POLICY, ...PATIENT });
    await pass(COOL_DOWN_MS + 1_000);
    await giveUp('transient');
    for (let n = 0; n < 3; n++) await pass(COOL_DOWN_MS + 1_000);
    expect(await letters()).toMatchObject([{ id: 'poison', automaticRedrives: 2 }]);
    expect(client.delivered).toEqual([]);
  });

  it('knows the kind where the broker itself gives up a message that blocks its key too often', async () => {
    await client.attach({ ...POLICY, ...PATIENT, order: 'by-key', whenFailing: 'skip' });
    await client.session.append([message('m1', { id: 'm1', key: 'k' })]);
    const { deliveryId } = await client.take();
    await client.session.settle([
      { deliveryId, verdict: 'retry', delayMs: 0, error: 'down', kind: 'transient' },
    ]);
    expect(await letters()).toMatchObject([{ reason: 'retries-exhausted', kind: 'transient' }]);
  });

  it.each([
    { coolDownMs: 10 },
    { coolDownMs: 1_000, maxPerMessage: 0 },
    { coolDownMs: 1_000, ratePerSecond: 0 },
  ])('refuses %p', async (automaticRedrive) => {
    await expect(client.attach({ automaticRedrive })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
