import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MAX_GROUPS } from '../groups/groups.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

describe('a broker at its limits', () => {
  let sandbox: BrokerSandbox;
  const clock = new ManualClock();

  beforeEach(async () => {
    sandbox = await BrokerSandbox.make({ clock });
  });
  afterEach(() => sandbox.cleanUp());

  it('reads back a large send that a full topic made a dead letter of each of its groups', async () => {
    const client = new EngineClient(await sandbox.open());
    const limit = { partitions: 1, maxMessages: 1, whenFull: 'dead-letter' };
    await client.session.admin({ method: 'createTopic', args: ['t', limit] });
    const groups = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const group of groups) await client.attach({ group });
    await client.session.append([message('fills the topic')]);
    const body = Buffer.alloc(1_000_000);
    await client.session.append(Array.from({ length: 14 }, () => message('', { body })));
    const again = new EngineClient(await sandbox.reopen());
    const infos = (await again.session.admin({ method: 'groups', args: [] })) as { deadLetters: number }[];
    expect(infos.map(({ deadLetters }) => deadLetters)).toEqual(groups.map(() => 14));
  });

  it('lets members join the groups there are when there may be no more', async () => {
    const client = new EngineClient(await sandbox.open());
    for (let n = 0; n < MAX_GROUPS; n += 200) {
      const joined = Array.from({ length: 200 }, (_, i) => client.attach({ group: `g${n + i}` }));
      for (const id of await Promise.all(joined)) await client.session.detach(id);
    }
    await client.attach({ group: 'g1' });
    await expect(client.attach({ group: 'more' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('does not deliver a message whose time to live ran out behind its key', async () => {
    const client = new EngineClient(await sandbox.open());
    await client.session.append([message('1', { key: 'k' }), message('2', { key: 'k', ttlMs: 1_000 })]);
    await client.attach({ order: 'by-key' });
    const first = await client.take();
    clock.advance(2_000);
    await client.ack(first);
    await settled();
    expect(client.texts).toEqual([]);
    const letters = await client.session.admin({ method: 'deadLetters', args: ['g'] });
    expect(letters).toMatchObject([{ reason: 'ttl-expired' }]);
  });

  it('keeps nothing of a broadcast member that it refused', async () => {
    const client = new EngineClient(await sandbox.open());
    const refused = client.attach({ mode: 'broadcast', maxInFlightMessages: -1 });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await client.session.admin({ method: 'groups', args: [] })).toEqual([]);
  });

  it('gives a subscriber of every topic no retries of another group', async () => {
    const broker = await sandbox.open();
    const [one, all] = [new EngineClient(broker), new EngineClient(broker)];
    await one.session.append([message('1')]);
    await one.attach();
    await one.retry(await one.take());
    await one.take();
    await all.attach({ group: 'all', topics: [{ topic: '*' }] });
    await settled();
    expect(all.texts).toEqual(['1']);
  });

  it('says that it cannot serve once its journal failed, and does not die of a time to live', async () => {
    const files = new MemoryFiles();
    const broker = await sandbox.open({ files });
    const [one, two] = [new EngineClient(broker), new EngineClient(broker)];
    await broker.createTopic('t', { partitions: 1 });
    await one.session.append([message('1'), message('2'), message('3', { ttlMs: 10 })]);
    await one.attach({ maxInFlightMessages: 1 });
    await two.attach({ maxInFlightMessages: 1 });
    await until(() => one.delivered.length + two.delivered.length === 2);
    files.failAt(files.calls + 1, 'EIO', true);
    await expect(one.session.append([message('4')])).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    clock.advance(100);
    // What it had goes to the other, and the third one would be moved to the dead letters.
    await two.session.close();
    await settled();
    const asked = broker.connect('probe').admin.timers();
    await expect(asked).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
