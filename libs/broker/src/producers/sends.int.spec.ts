import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerSandbox, EngineClient, ManualClock, message, until } from '../testing/engine-client.js';

let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({
    clock,
    tailCacheBytes: 1,
    readCacheBytes: 1,
    segmentBytes: 64 * 1024,
  });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const big = (id: string) => message('x'.repeat(20_000), { id, key: id });

describe('append', () => {
  it('stores a repeated id once and answers with the first place, also from a file and after a restart', async () => {
    const [first] = await client.session.append([big('m1')]);
    for (let i = 0; i < 20; i++) await client.session.append([big(`other${i}`)]);
    const [again, fresh] = await client.session.append([big('m1'), big('m2')]);
    expect(again).toEqual({ ...first, duplicate: true });
    expect(fresh).toMatchObject({ duplicate: false });
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    expect(await client.session.append([big('m1')])).toEqual([{ ...first, duplicate: true }]);
    clock.advance(241_000);
    await client.session.append([big('rotate')]);
    clock.advance(121_000);
    await client.session.append([big('rotate again')]);
    expect(await client.session.append([big('m1')])).toMatchObject([{ duplicate: false }]);
  });

  it('knows an id in its topic only: another topic stores its own message of that id, also after a restart', async () => {
    const other = { ...big('A-1'), topic: 'billing' };
    const [created] = await client.session.append([big('A-1')]);
    const [invoice] = await client.session.append([other]);
    expect(invoice).toMatchObject({ status: 'SEND_OK', topic: 'billing', duplicate: false });
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    expect(await client.session.append([other, big('A-1')])).toEqual([
      { ...invoice, duplicate: true },
      { ...created, duplicate: true },
    ]);
  });

  it('refuses to create a topic that is there with other options, and says which', async () => {
    await client.attach({ topics: [{ topic: 'order' }] });
    await expect(
      broker.createTopic('order', { partitions: 16, maxMessages: 10, flush: 'sync' }),
    ).rejects.toThrow(
      'INVALID_ARGUMENT: topic order is there, with partitions 4, not 16; maxMessages unbounded, not 10',
    );
    await broker.createTopic('order', { partitions: 4, whenFull: 'reject' });
    await broker.createTopic('bounded', { maxMessages: 10, whenFull: 'dead-letter' });
    await broker.createTopic('bounded', { maxMessages: 10, whenFull: 'dead-letter' });
    await expect(broker.createTopic('bounded', { whenFull: 'reject' })).rejects.toThrow(
      'whenFull dead-letter, not reject',
    );
  });

  it('keeps the messages of a key in one partition, and gives dense offsets', async () => {
    const receipts = await client.session.append(
      Array.from({ length: 40 }, (_, i) => message(`${i}`, { key: `k${i % 4}` })),
    );
    const places = new Map<number, number[]>();
    receipts.forEach(({ partition, offset }) =>
      places.set(partition, [...(places.get(partition) ?? []), offset]),
    );
    for (const offsets of places.values()) expect(offsets).toEqual(offsets.map((_, i) => i));
    expect(receipts[0]!.partition).toBe(receipts[4]!.partition);
  });

  it.each([
    ['a topic name', message('x', { topic: 'no spaces' })],
    ['an internal topic', message('x', { topic: '%DLQ%g' })],
    ['a NUL in a key', message('x', { key: 'a\0b' })],
    ['a priority', message('x', { priority: 10 })],
    ['a header that is no string', message('x', { headers: { a: 1 as unknown as string } })],
    ['a body over 1 MiB', message('x', { body: Buffer.alloc(1024 * 1024 + 1) })],
  ])('refuses %s it cannot keep, and stores nothing of that call', async (_what, wrong) => {
    await expect(client.session.append([message('fine'), wrong])).rejects.toThrow(
      /INVALID_ARGUMENT|MESSAGE_TOO_LARGE/,
    );
    await client.attach();
    await client.session.append([message('next')]);
    await client.take();
    expect(client.delivered).toEqual([]);
  });

  it('drops old segments once nobody needs them, and opens from what is left', async () => {
    broker = await sandbox.reopen({ retention: { maxBytes: 200_000 } });
    client = new EngineClient(broker);
    await client.attach({ maxInFlightMessages: 1_000 });
    for (let i = 0; i < 40; i++) await client.session.append([big(`m${i}`)]);
    await until(() => client.delivered.length === 40);
    const starts = async () => {
      const topics = (await client.session.admin({ method: 'topics', args: [] })) as {
        topic: string;
        partitions: { startOffset: number }[];
      }[];
      return topics
        .find(({ topic }) => topic === 't')!
        .partitions.reduce((sum, { startOffset }) => sum + startOffset, 0);
    };
    clock.advance(10_001);
    broker.tick();
    expect(await starts()).toBe(0);
    const [kept, ...done] = client.delivered.splice(0);
    for (const delivery of done) await client.ack(delivery);
    clock.advance(10_001);
    broker.tick();
    expect(await starts()).toBe(0);
    await client.ack(kept!);
    clock.advance(10_001);
    broker.tick();
    await until(async () => (await starts()) > 20);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach();
    await client.session.append([message('new')]);
    expect((await client.take()).message.body.toString()).toBe('new');
    expect(client.delivered).toEqual([]);
  });

  it('is refused a directory that another broker has', async () => {
    await expect(EmbeddedBroker.open({ dir: sandbox.dir })).rejects.toThrow(/STORAGE_FAILED.*in use/);
  });
});
