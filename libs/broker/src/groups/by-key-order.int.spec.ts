import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import { MemoryFiles } from '../testing/memory-files.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  textOf,
  until,
} from '../testing/engine-client.js';

const clock = new ManualClock();
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  // In memory, so that a few turns of the event loop are enough for whatever is written and read.
  sandbox = await BrokerSandbox.make({ clock, files: new MemoryFiles() });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const send = (...texts: string[]) =>
  client.session.append(texts.map((text) => message(text, { key: text.slice(0, 1) })));

describe('order by key', () => {
  it('has one message of a key in flight, whoever of the group has room', async () => {
    const other = new EngineClient(broker, 'other');
    await client.attach({ order: 'by-key' });
    await other.attach({ order: 'by-key' });
    await send('a1', 'a2', 'a3', 'b1', 'b2');
    await until(() => client.delivered.length + other.delivered.length === 2);
    await settled();
    expect([...client.texts, ...other.texts].sort()).toEqual(['a1', 'b1']);
    const seen: string[] = [];
    await until(async () => {
      for (const who of [client, other]) {
        for (const delivery of who.delivered.splice(0)) {
          seen.push(textOf(delivery));
          await who.ack(delivery);
        }
      }
      return seen.length === 5;
    });
    expect(seen.filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
    expect(seen.filter((text) => text.startsWith('b'))).toEqual(['b1', 'b2']);
  });

  it('goes on with every key as its member has room again', async () => {
    await client.attach({ order: 'by-key', maxInFlightMessages: 1 });
    await send('a1', 'b1', 'a2', 'b2', 'c1');
    const seen: string[] = [];
    while (seen.length < 5) {
      const delivery = await client.take();
      expect(client.delivered).toEqual([]);
      seen.push(textOf(delivery));
      await client.ack(delivery);
    }
    for (const key of ['a', 'b', 'c'])
      expect(seen.filter((text) => text.startsWith(key))).toEqual(
        key === 'c' ? ['c1'] : [`${key}1`, `${key}2`],
      );
  });

  it('counts the tries of a message on, through a crash in the midst of one and while nobody asks for its topic', async () => {
    const files = new MemoryFiles();
    broker = await sandbox.reopen({ files });
    client = new EngineClient(broker);
    const both = { order: 'by-key', topics: [{ topic: 't' }, { topic: 'u' }] } as const;
    let consumer = await client.attach(both);
    await send('a1');
    await client.retry(await client.take());
    expect((await client.take()).attempt).toBe(2);
    // Killed while the second try is under way: nobody could tell the journal that it began.
    broker = await sandbox.reopen({ files: files.kill() });
    client = new EngineClient(broker);
    consumer = await client.attach(both);
    clock.advance(1);
    broker.tick();
    expect((await client.take()).attempt).toBe(2);
    await client.session.detach(consumer);
    consumer = await client.attach({ ...both, topics: [{ topic: 'u' }] });
    await client.session.detach(consumer);
    await client.attach(both);
    broker.tick();
    const { attempt, history } = await client.take();
    // Its consumer left in good order, and nobody failed: that was no try.
    expect(attempt).toBe(2);
    expect(history.map(({ error }) => error)).toEqual(['failed']);
  });

  it('lets a failing message hold back its key only, and goes on in order, also after a restart', async () => {
    await client.attach({ order: 'by-key' });
    await send('a1', 'a2', 'b1', 'b2');
    const byText = async (text: string) => {
      await until(() => client.texts.includes(text), text);
      return client.delivered.splice(client.texts.indexOf(text), 1)[0]!;
    };
    await client.retry(await byText('a1'), 1_000, 'not yet');
    await client.ack(await byText('b1'));
    await client.ack(await byText('b2'));
    await settled();
    expect(client.delivered).toEqual([]);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach({ order: 'by-key' });
    await settled();
    expect(client.delivered).toEqual([]);
    clock.advance(1_001);
    broker.tick();
    const again = await byText('a1');
    expect(again).toMatchObject({ attempt: 2, history: [{ error: 'not yet' }] });
    await settled();
    expect(client.delivered).toEqual([]);
    await client.ack(again);
    await client.ack(await byText('a2'));
    const groups = await client.session.admin({ method: 'groups', args: [] });
    expect(groups).toMatchObject([{ lag: 0, retrying: 0, inFlight: 0 }]);
  });

  it('remembers over a restart how often a message has blocked its key', async () => {
    const policy = { order: 'by-key', whenFailing: { blockTimes: 1 } } as const;
    await client.attach(policy);
    await send('a1', 'a2');
    await client.retry(await client.take(), 1_000, 'once');
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach(policy);
    clock.advance(1_001);
    broker.tick();
    await client.retry(await client.take(), 1_000, 'twice');
    expect(textOf(await client.take())).toBe('a2');
    expect(await client.session.admin({ method: 'deadLetters', args: ['g'] })).toMatchObject([
      { reason: 'retries-exhausted', attempts: [{ error: 'once' }, { error: 'twice' }] },
    ]);
  });

  it('frees the key when its message is dead-lettered or its lease is lost and the retry acked', async () => {
    await client.attach({ order: 'by-key', leaseMs: 1_000 });
    await send('a1', 'a2', 'a3');
    const { deliveryId } = await client.take();
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
    expect(textOf(await client.take())).toBe('a2');
    clock.advance(1_001);
    broker.tick();
    const again = await client.take();
    expect(textOf(again)).toBe('a2');
    await client.ack(again);
    expect(textOf(await client.take())).toBe('a3');
  });

  it('keeps one of a key in flight when one of them is given back from the dead letters', async () => {
    await client.attach({ order: 'by-key' });
    await client.session.append([
      message('a1', { key: 'a', id: 'a1' }),
      message('a2', { key: 'a' }),
      message('a3', { key: 'a' }),
    ]);
    const { deliveryId } = await client.take();
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
    const a2 = await client.take();
    await client.session.admin({ method: 'redrive', args: ['g', 'a1'] });
    await settled();
    expect(client.delivered).toEqual([]);
    await client.ack(a2);
    const order: string[] = [];
    for (let i = 0; i < 2; i++) {
      await until(() => client.delivered.length > 0);
      await settled();
      expect(client.delivered).toHaveLength(1);
      const delivery = await client.take();
      order.push(textOf(delivery));
      await client.ack(delivery);
    }
    expect(order.sort()).toEqual(['a1', 'a3']);
  });

  it('keeps one of a key in flight when a group comes back ordered, with retries of before', async () => {
    await client.attach({ maxInFlightMessages: 2 });
    const texts = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
    await client.session.append(texts.map((text, i) => message(text, { key: 'a', priority: i % 2 ? 9 : 0 })));
    await client.retry(await client.take());
    await settled();
    await client.session.close();
    client = new EngineClient(broker);
    await client.attach({ order: 'by-key' });
    const seen: string[] = [];
    while (seen.length < texts.length) {
      await until(() => client.delivered.length > 0);
      await settled();
      expect(client.delivered).toHaveLength(1);
      const delivery = await client.take();
      seen.push(textOf(delivery));
      await client.ack(delivery);
    }
    expect(seen.sort()).toEqual(texts);
  });

  it('delivers what waited in its lane when the group comes back without an order, with its tries', async () => {
    await client.attach({ order: 'by-key' });
    await send('a1', 'a2', 'a3');
    await client.retry(await client.take(), 0, 'once');
    clock.advance(1);
    broker.tick();
    await client.take();
    await client.session.close();
    client = new EngineClient(broker);
    await client.attach();
    clock.advance(1);
    broker.tick();
    await until(() => client.delivered.length === 3);
    expect(client.texts.sort()).toEqual(['a1', 'a2', 'a3']);
    const again = client.delivered.find((each) => textOf(each) === 'a1');
    expect(again).toMatchObject({ attempt: 3, history: [{ error: 'once' }, { isLost: true }] });
  });

  it('lets other keys go on beyond any bound of offsets while one key is blocked, and forgets nothing over a restart', async () => {
    const files = new MemoryFiles();
    const dir = { files, flush: 'async' } as const;
    broker = await sandbox.reopen(dir);
    client = new EngineClient(broker);
    await broker.createTopic('t', { partitions: 1 });
    const attach = () => client.attach({ order: 'by-key', maxInFlightMessages: 4_096, leaseMs: 3_600_000 });
    await attach();
    await send('blocked', 'blocked too');
    const blocked = await client.take();
    const total = 70_000;
    let [acked, key] = [0, 0];
    for (let sent = 0; sent < total; sent += 10_000) {
      await client.session.append(Array.from({ length: 10_000 }, () => message('x', { key: `x${key++}` })));
      while (acked < sent + 10_000) {
        await until(() => client.delivered.length > 0, `message ${acked}`);
        const batch = client.delivered.splice(0);
        await client.session.settle(batch.map(({ deliveryId }) => ({ deliveryId, verdict: 'ack' })));
        acked += batch.length;
      }
    }
    broker = await sandbox.reopen(dir);
    client = new EngineClient(broker);
    await attach();
    const again = await client.take();
    expect(textOf(again)).toBe(textOf(blocked));
    await settled();
    expect(client.delivered).toEqual([]);
    await client.ack(again);
    expect(textOf(await client.take())).toBe('blocked too');
  }, 30_000);
});
