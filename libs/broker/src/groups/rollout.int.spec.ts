import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter, GroupInfo, OutgoingMessage, Subscription } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { REMEMBERED_MS } from './interests.js';

const OLD = { topics: [{ topic: 't', tags: ['a'] }] };
const NEW = { topics: [{ topic: 't', tags: ['a', 'b'] }] };

let clock: ManualClock;
let sandbox: BrokerSandbox;
let files: MemoryFiles;
let broker: EmbeddedBroker;

beforeEach(async () => {
  clock = new ManualClock();
  files = new MemoryFiles();
  sandbox = await BrokerSandbox.make({ clock, traceSteps: 0, tailCacheBytes: 1, readCacheBytes: 1 });
  broker = await sandbox.open({ files });
});
afterEach(() => sandbox.cleanUp());

async function member(name: string, more: Partial<Subscription>): Promise<EngineClient> {
  const client = new EngineClient(broker, name);
  await client.attach({ leaseMs: 3_600_000, ...more });
  return client;
}
const send = (...messages: OutgoingMessage[]) => new EngineClient(broker).session.append(messages);
const admin = <Result>(method: string, ...args: unknown[]) =>
  new EngineClient(broker).admin<Result>(method, ...args);
const lettersOf = async (): Promise<DeadLetter[]> => await admin<DeadLetter[]>('deadLetters', 'g');
const lagOf = async (): Promise<number> => (await admin<GroupInfo[]>('groups'))[0]!.lag;
const passTheTime = (): void => {
  clock.advance(REMEMBERED_MS);
  broker.tick();
};

describe('members of a group that differ in what they take', () => {
  it('share what both take, and each gets what only it takes', async () => {
    const old = await member('old', OLD);
    const fresh = await member('fresh', NEW);
    for (let i = 0; i < 10; i++) await send(message(`a${i}`), message(`b${i}`, { tag: 'b' }));
    await until(() => old.delivered.length + fresh.delivered.length === 20);
    expect(old.texts.every((text) => text.startsWith('a'))).toBe(true);
    expect(old.delivered.length).toBeGreaterThan(0);
    expect(fresh.texts.filter((text) => text.startsWith('b'))).toHaveLength(10);
  });

  it('differ in topics too', async () => {
    const old = await member('old', { topics: [{ topic: 't' }] });
    const fresh = await member('fresh', { topics: [{ topic: 't' }, { topic: 'u' }] });
    await send(message('t'), message('u1', { topic: 'u' }), message('u2', { topic: 'u' }));
    await until(() => old.delivered.length + fresh.delivered.length === 3);
    expect(fresh.texts).toEqual(expect.arrayContaining(['u1', 'u2']));
  });

  it.each(['unordered', 'by-key'] as const)(
    'do not hold each other up, %s: what one has no room for waits while the other goes on',
    async (order) => {
      const old = await member('old', { ...OLD, order });
      const fresh = await member('fresh', { ...NEW, order, maxInFlightMessages: 1 });
      const keyed = (text: string, tag: string, i: number) => message(text, { tag, key: `${tag}${i}` });
      for (let i = 0; i < 6; i++) await send(keyed(`b${i}`, 'b', i));
      for (let i = 0; i < 6; i++) await send(keyed(`a${i}`, 'a', i));
      await until(() => old.delivered.length === 6);
      const seen: string[] = [];
      for (let i = 0; i < 6; i++) {
        const delivery = await fresh.take();
        seen.push(String(delivery.message.tag));
        await fresh.ack(delivery);
      }
      expect(seen).toEqual(['b', 'b', 'b', 'b', 'b', 'b']);
    },
  );

  it('agree in everything else', async () => {
    await member('old', OLD);
    await expect(member('fresh', { ...NEW, order: 'by-key' })).rejects.toThrow('INVALID_ARGUMENT');
  });

  it('are of sixteen kinds at most', async () => {
    for (let i = 0; i < 16; i++) await member(`${i}`, { topics: [{ topic: 't', tags: [`${i}`] }] });
    await expect(member('one more', { topics: [{ topic: 't', tags: ['more'] }] })).rejects.toThrow(
      'INVALID_ARGUMENT',
    );
    await member('one like another', { topics: [{ topic: 't', tags: ['3'] }] });
  });
});

describe('a message that nobody in the group takes at the moment', () => {
  it('waits for a member that does', async () => {
    const old = await member('old', OLD);
    const fresh = await member('fresh', NEW);
    await fresh.session.close();
    await send(message('b', { tag: 'b' }), message('a'));
    await until(() => old.texts.includes('a'));
    await settled();
    expect(await lagOf()).toBe(2);
    const again = await member('fresh', NEW);
    await until(() => again.texts.includes('b'));
  });

  it.each(['kill', 'crash'] as const)(
    'waits over a %s of the broker, whoever comes back first',
    async (how) => {
      await member('old', OLD);
      await member('fresh', NEW);
      await send(message('b', { tag: 'b' }), message('a'));
      broker = await sandbox.reopen({ files: files[how]() });
      const old = await member('old', OLD);
      await until(() => old.texts.includes('a'));
      await old.ack(old.delivered[0]!);
      await settled();
      expect(await lagOf()).toBe(1);
      const fresh = await member('fresh', NEW);
      expect((await fresh.take()).message.tag).toBe('b');
    },
  );

  it('waits when the entry that says so lies in a segment that is gone', async () => {
    await broker.close();
    const options = { files, segmentBytes: 64 * 1024, retention: { maxBytes: 100_000 } };
    broker = await sandbox.open(options);
    const old = await member('old', OLD);
    await (await member('fresh', NEW)).session.close();
    for (let i = 0; i < 10; i++) {
      await send(message('x'.repeat(40_000)));
      await old.ack(await old.take());
      clock.advance(11_000);
      broker.tick();
      await settled(3);
    }
    await until(() => !files.paths().some((path) => path.includes('/00000000000000000000.log')));
    broker = await sandbox.reopen({ ...options, files: files.kill() });
    await member('old', OLD);
    await send(message('b', { tag: 'b' }));
    await settled();
    expect(await lagOf()).toBe(1);
    const fresh = await member('fresh', NEW);
    expect((await fresh.take()).message.tag).toBe('b');
  });

  it('holds its key back, and no other, in an ordered group', async () => {
    const order = 'by-key' as const;
    const old = await member('old', { ...OLD, order });
    await (await member('fresh', { ...NEW, order })).session.close();
    await send(message('1', { tag: 'b', key: 'k' }), message('2', { key: 'k' }), message('3', { key: 'l' }));
    await until(() => old.texts.includes('3'));
    await settled();
    expect(old.texts).toEqual(['3']);
    const fresh = await member('fresh', { ...NEW, order });
    const first = await fresh.take();
    expect(Buffer.from(first.message.body).toString()).toBe('1');
    await fresh.ack(first);
    await until(() => [...old.texts, ...fresh.texts].includes('2'));
  });

  it('becomes a dead letter when nobody has taken it for long while others were there; what comes later is passed over', async () => {
    const old = await member('old', OLD);
    await (await member('fresh', NEW)).session.close();
    await send(message('b', { id: 'b1', tag: 'b' }), message('a'));
    await until(() => old.delivered.length === 1);
    await old.ack(old.delivered[0]!);
    passTheTime();
    await until(async () => (await lettersOf()).length === 1);
    expect(await lettersOf()).toMatchObject([
      { id: 'b1', reason: 'rejected', error: 'no member of the group takes t.b any more' },
    ]);
    await send(message('b', { tag: 'b' }));
    await until(async () => (await lagOf()) === 0);
    expect(await lettersOf()).toHaveLength(1);
    // And that is not forgotten.
    broker = await sandbox.reopen({ files: files.kill() });
    await member('old', OLD);
    await send(message('b', { tag: 'b' }));
    await until(async () => (await lagOf()) === 0);
    expect(await lettersOf()).toHaveLength(1);
  });

  it('waits for as long as the group has no members at all', async () => {
    const fresh = await member('fresh', NEW);
    await fresh.session.close();
    await send(message('b', { tag: 'b' }));
    passTheTime();
    passTheTime();
    const old = await member('old', OLD);
    broker.tick();
    await settled();
    expect(await lettersOf()).toEqual([]);
    expect(old.delivered).toEqual([]);
    expect((await (await member('fresh', NEW)).take()).message.tag).toBe('b');
  });

  it('is tried alone by a member that takes it when it is a suspect', async () => {
    await member('old', OLD);
    await send(message('b', { tag: 'b' }));
    for (let life = 0; life < 3; life++) {
      const fresh = await member('fresh', NEW);
      clock.advance(60_000);
      broker.tick();
      await until(() => fresh.delivered.length === 1);
      await fresh.session.close();
      await settled();
    }
    clock.advance(60_000);
    broker.tick();
    const fresh = await member('fresh', NEW);
    expect(await fresh.take()).toMatchObject({ attempt: 4, message: { tag: 'b' } });
  });
});

describe('a retry or redrive', () => {
  it('goes to a member that takes its tag', async () => {
    const fresh = await member('fresh', NEW);
    const old = await member('old', OLD);
    await send(message('b', { tag: 'b' }));
    for (let i = 0; i < 5; i++) await fresh.retry(await fresh.take());
    expect((await fresh.take()).attempt).toBe(6);
    expect(old.delivered).toEqual([]);
  });

  it.each(['unordered', 'by-key'] as const)(
    'of a tag that is no longer taken becomes a dead letter again, %s',
    async (order) => {
      const fresh = await member('fresh', { ...NEW, order });
      await send(message('1', { id: 'b1', tag: 'b', key: 'k' }), message('2', { id: 'a1', key: 'k' }));
      const { deliveryId } = await fresh.take();
      const settlement = { deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' } as const;
      await fresh.session.settle([settlement]);
      await fresh.session.close();
      const old = await member('old', { ...OLD, order });
      passTheTime();
      await until(() => old.delivered.length === 1);
      await admin('redrive', 'g', 'b1');
      await old.ack(old.delivered[0]!);
      await until(async () => (await lettersOf()).length === 1);
      expect(await lettersOf()).toMatchObject([
        { id: 'b1', error: 'no member of the group takes t.b any more', message: { topic: 't', tag: 'b' } },
      ]);
      await until(async () => (await lagOf()) === 0);
    },
  );
});
