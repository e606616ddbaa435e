import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerSandbox, EngineClient, ManualClock, message, settled } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock, files: new MemoryFiles() });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

async function pass(ms: number): Promise<void> {
  clock.advance(ms);
  broker.tick();
  await settled();
}

describe.each(['unordered', 'by-key'] as const)('a message that failed, %s', (order) => {
  beforeEach(async () => {
    await client.attach({ order, leaseMs: 3_600_000 });
    await client.session.append([message('fails', { id: 'm', key: 'k' })]);
  });

  it('comes again when its wait is over, and no sooner', async () => {
    await client.retry(await client.take(), 5_000);
    await pass(4_999);
    expect(client.texts).toEqual([]);
    await pass(1);
    expect(await client.take()).toMatchObject({ attempt: 2 });
  });

  it('has the whole of its past with it, and takes it along to the dead letters', async () => {
    for (const error of ['one', 'two', 'three']) {
      await client.retry(await client.take(), 1_000, error);
      await pass(1_000);
    }
    const last = await client.take();
    expect(last.attempt).toBe(4);
    expect(last.history.map(({ attempt, error }) => [attempt, error])).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ]);
    const { deliveryId } = last;
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'four' }]);
    const [letter] = await client.admin<DeadLetter[]>('deadLetters', 'g');
    expect(letter?.attempts.map(({ error }) => error)).toEqual(['one', 'two', 'three', 'four']);
  });
});

describe('a message that an ordered group is set back to', () => {
  it('is tried as if for the first time, though it had failed and waited for its next try', async () => {
    await client.attach({ order: 'by-key', leaseMs: 3_600_000 });
    await client.session.append([message('fails', { key: 'k' })]);
    await client.retry(await client.take(), 3_600_000);
    await settled();
    await client.admin('resetGroup', 'g', 'earliest');
    const again = await client.take();
    expect(again).toMatchObject({ attempt: 1, history: [] });
  });
});
