import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { GroupInfo, TopicInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  textOf,
  until,
} from '../testing/engine-client.js';

const MESSAGES = 40;
/** What retention leaves: three segments, each with room for three messages. */
const MOST_RETAINED = 9;
let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({
    clock,
    segmentBytes: 64 * 1024,
    retention: { maxBytes: 200_000, unsettled: 'drop' },
  });
  broker = await sandbox.open();
  client = new EngineClient(broker);
  await client.session.admin({ method: 'createTopic', args: ['t', { partitions: 1 }] });
});
afterEach(() => sandbox.cleanUp());

const partition = async (): Promise<TopicInfo['partitions'][number]> => {
  const topics = (await client.session.admin({ method: 'topics', args: [] })) as TopicInfo[];
  return topics.find(({ topic }) => topic === 't')!.partitions[0]!;
};
const start = async (): Promise<number> => (await partition()).startOffset;
const group = async (): Promise<GroupInfo> =>
  ((await client.session.admin({ method: 'groups', args: [] })) as GroupInfo[])[0]!;
const fill = async (): Promise<void> => {
  for (let n = 0; n < MESSAGES; n++) {
    await client.session.append([message(`${n} ${'x'.repeat(20_000)}`, { key: 'k' })]);
  }
  clock.advance(10_001);
  broker.tick();
  // Segments are dropped one after the other.
  await until(async () => {
    const { startOffset, endOffset } = await partition();
    return endOffset - startOffset <= MOST_RETAINED;
  });
};

describe('a group that falls behind retention', () => {
  it('is moved on and told what it missed, also after a restart', async () => {
    const consumer = await client.attach({ maxInFlightMessages: 1 });
    await client.session.append([message('first', { key: 'k' })]);
    await client.ack(await client.take());
    await client.session.detach(consumer);
    await fill();
    const kept = await start();
    const missed = { messages: kept - 1, ranges: [{ topic: 't', partition: 0, from: 1, to: kept }] };
    expect(await group()).toMatchObject({ missed, lag: MESSAGES + 1 - kept });
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    expect(await group()).toMatchObject({ missed, lag: MESSAGES + 1 - kept });
    await client.attach();
    expect((await client.take()).message.offset).toBe(kept);
  });

  it('has not missed what it had settled in between', async () => {
    const consumer = await client.attach({ maxInFlightMessages: 3 });
    await client.session.append(['first', 'second', 'third'].map((text) => message(text)));
    await until(() => client.delivered.length === 3);
    for (const delivery of client.delivered.splice(0))
      if (textOf(delivery) !== 'first') await client.ack(delivery);
    await client.session.detach(consumer);
    await fill();
    const kept = await start();
    const place = { topic: 't', partition: 0 };
    expect((await group()).missed).toMatchObject({
      messages: kept - 2,
      ranges: [
        { ...place, from: 0, to: 1 },
        { ...place, from: 3, to: kept },
      ],
    });
  });

  it('goes on with a key whose message in flight was dropped', async () => {
    await client.attach({ order: 'by-key' });
    await fill();
    const kept = await start();
    const old = await client.take();
    expect(textOf(old)).toMatch(/^0 /);
    expect(client.delivered).toEqual([]);
    expect(await client.ack(old)).toBe(true);
    const next = await client.take();
    expect(next.message.offset).toBe(kept);
    expect(await client.ack(next)).toBe(true);
    expect((await client.take()).message.offset).toBe(kept + 1);
  });

  it('goes on with a key whose message was lost in flight, or waited for its next try', async () => {
    const consumer = await client.attach({ order: 'by-key' });
    await client.session.append([message('waits', { key: 'waiting' }), message('held', { key: 'k' })]);
    await until(() => client.delivered.length === 2);
    const waits = client.delivered.find((delivery) => textOf(delivery) === 'waits')!;
    await client.retry(waits, 3_600_000);
    await fill();
    const kept = await start();
    await client.session.detach(consumer);
    client.delivered.length = 0;
    await client.attach({ order: 'by-key' });
    expect((await client.take()).message.offset).toBe(kept);
    expect((await group()).missed.messages).toBe(kept);
  });
});
