import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { GroupInfo, TopicInfo } from '#libs/messaging/port';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { EmbeddedBroker } from './embedded-broker.js';

const HOUR_MS = 3_600_000;

let clock: ManualClock;
let files: MemoryFiles;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  files = new MemoryFiles();
  sandbox = await BrokerSandbox.make({ clock, segmentBytes: 64 * 1024, retention: { maxBytes: 256 * 1024 } });
  await start(files);
});
afterEach(() => sandbox.cleanUp());

async function start(from: MemoryFiles): Promise<void> {
  files = from;
  broker = await sandbox.reopen({ files });
  client = new EngineClient(broker);
}

const groupNames = async (): Promise<string[]> =>
  (await client.admin<GroupInfo[]>('groups')).map(({ group }) => group);
const topicNames = async (): Promise<string[]> =>
  (await client.admin<TopicInfo[]>('topics')).map(({ topic }) => topic);

/** A group with a retry that waits, a dead letter and unsettled messages; nobody runs it any more. */
async function abandonGroup(): Promise<void> {
  const id = await client.attach({ maxInFlightMessages: 2 });
  await client.session.append(['1', '2', '3'].map((text) => message(text, { id: text })));
  await client.retry(await client.take(), HOUR_MS);
  const { deliveryId } = await client.take();
  await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
  await client.session.detach(id);
}

/** Enough for the oldest segments to go. */
async function traffic(): Promise<void> {
  for (let n = 0; n < 12; n++) {
    await client.session.append([message('x'.repeat(50_000), { topic: 'other' })]);
    clock.advance(11_000);
    broker.tick();
    await settled(3);
  }
}

describe('what was deleted', () => {
  it('is gone once it is answered, whatever is left of the files', async () => {
    await abandonGroup();
    await client.admin('deleteGroup', 'g');
    await start(files.crash());
    expect(await groupNames()).toEqual([]);
    await client.admin('deleteTopic', 't');
    await start(files.crash());
    expect(await topicNames()).toEqual([]);
  });

  it('holds no segment, and stays gone when its own entries are dropped, while what waited of it becomes due', async () => {
    await abandonGroup();
    await client.session.append([message('later', { deliverAtMs: clock.now() + HOUR_MS })]);
    await traffic();
    expect(files.paths().filter((path) => path.endsWith('.log')).length).toBeGreaterThan(8);
    await client.admin('deleteGroup', 'g');
    await client.admin('deleteTopic', 't');
    await traffic();
    expect(files.paths().filter((path) => path.endsWith('.log')).length).toBeLessThan(8);
    await start(files.kill());
    expect(await groupNames()).toEqual([]);
    expect(await topicNames()).toEqual(['other']);
    // Of the same names, and new.
    await client.attach();
    await client.session.append([message('new', { id: '1' })]);
    clock.advance(HOUR_MS);
    broker.tick();
    await until(async () => (await client.admin<{ pending: number }>('timers')).pending === 0);
    await settled();
    expect(client.texts).toEqual(['new']);
    expect((await client.admin<GroupInfo[]>('groups'))[0]).toMatchObject({
      retrying: 0,
      deadLetters: 0,
      lag: 1,
    });
    await start(files.kill());
    await client.attach();
    await until(() => client.delivered.length === 1);
    expect(client.texts).toEqual(['new']);
  });

  it('is not brought back by what was settled just before', async () => {
    const id = await client.attach();
    await client.session.append([message('1')]);
    const delivery = await client.take();
    const acked = client.ack(delivery);
    const left = client.session.detach(id);
    const deleted = client.admin('deleteGroup', 'g');
    await Promise.all([acked, left, deleted]);
    await start(files.kill());
    expect(await groupNames()).toEqual([]);
  });
});
