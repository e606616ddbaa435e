import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MAX_GROUPS } from '../groups/groups.js';
import { MAX_TOPICS } from '../topics/topics.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

describe('a broker at its limits', () => {
  let sandbox: BrokerSandbox;
  const clock = new ManualClock();

  beforeEach(async () => {
    // In memory, so that a few turns of the event loop are enough for whatever is written and read.
    sandbox = await BrokerSandbox.make({ clock, files: new MemoryFiles() });
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

  it.each([
    { leaseMs: 0 },
    { maxInFlightMessages: 0 },
    { maxInFlightBytes: -1 },
    { topics: [{ topic: '?' }] },
  ])('makes neither group nor topic for a subscription that it refuses: %j', async (wrong) => {
    const client = new EngineClient(await sandbox.open());
    await expect(client.attach(wrong)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await client.session.admin({ method: 'groups', args: [] })).toEqual([]);
    expect(await client.session.admin({ method: 'topics', args: [] })).toEqual([]);
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

  it('delivers nothing of a topic that a group no longer asks for, and goes on there when it asks again', async () => {
    const client = new EngineClient(await sandbox.open());
    const both = {
      topics: [{ topic: 't' }, { topic: 'u' }],
      maxInFlightMessages: 1,
      order: 'by-key',
    } as const;
    let consumer = await client.attach(both);
    for (const text of ['1', '2', '3'])
      await client.session.append([message(text, { topic: 'u', key: 'k' })]);
    await client.ack(await client.take());
    await client.take();
    await client.session.detach(consumer);
    consumer = await client.attach({ ...both, topics: [{ topic: 't' }] });
    await client.session.append([message('other topic', { key: 'k' })]);
    await client.ack(await client.take());
    await settled();
    expect(client.texts).toEqual([]);
    const groups = await client.session.admin({ method: 'groups', args: [] });
    expect(groups).toMatchObject([{ group: 'g', lag: 2 }]);
    await client.session.detach(consumer);
    await client.attach(both);
    const second = await client.take();
    expect(textOf(second)).toBe('2');
    await client.ack(second);
    expect(textOf(await client.take())).toBe('3');
  });

  it('has a place for a failed message even when there may be no more topics', async () => {
    const broker = await sandbox.open();
    const client = new EngineClient(broker);
    await client.session.append([message('1')]);
    await client.attach();
    for (let n = 1; n < MAX_TOPICS; n++) void broker.createTopic(`topic-${n}`, { partitions: 1 });
    await expect(broker.createTopic('one-more', { partitions: 1 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await client.retry(await client.take());
    expect(textOf(await client.take())).toBe('1');
  });

  it('drops no segment whose message was moved on by what a power cut can undo', async () => {
    const files = new MemoryFiles();
    const options = { files, segmentBytes: 64 * 1024, retention: { maxBytes: 1 } };
    const broker = await sandbox.open(options);
    await broker.createTopic('t', { partitions: 1 });
    const client = new EngineClient(broker);
    await client.attach({ maxInFlightMessages: 10 });
    await client.session.append([message('retried')]);
    const retried = await client.take();
    for (let n = 0; n < 5; n++) {
      await client.session.append([message('x'.repeat(20_000))]);
      await client.ack(await client.take());
    }
    const segments = () =>
      files.paths().filter((path) => path.includes('/journal/') && path.endsWith('.log'));
    const before = segments().length;
    await client.retry(retried);
    clock.advance(10_001);
    broker.tick();
    await until(() => segments().length < before, 'a drop');
    const again = new EngineClient(await sandbox.reopen({ ...options, files: files.crash() }));
    await again.attach();
    expect(textOf(await again.take())).toBe('retried');
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
