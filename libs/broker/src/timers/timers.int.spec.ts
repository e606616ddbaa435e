import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TimerInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
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
import { hashOf } from '../topics/text-hash.js';
import { HORIZON_MS } from './far-timers.js';

let timerHorizonMs: number;
let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  // A small tail: what was set early has to be read back from its file to fire.
  sandbox = await BrokerSandbox.make({
    ...{ clock, timerHorizonMs, tailCacheBytes: 1, readCacheBytes: 1 },
    // In memory, so that a few turns of the event loop are enough for whatever is written and read.
    files: new MemoryFiles(),
  });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

/** The time is moved by hours: nothing is to come again because its lease ran out. */
const PATIENT = { leaseMs: 24 * 3_600_000 };
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  broker.tick();
  await settled();
};
const pending = async () =>
  ((await client.session.admin({ method: 'timers', args: [] })) as TimerInfo).pending;
const after = (ms: number) => ({ deliverAtMs: clock.now() + ms });

/** Under load it takes a while; nothing else comes with it. */
async function come(...texts: string[]): Promise<void> {
  await until(() => client.texts.length >= texts.length, texts.join(', '));
  expect(client.texts).toEqual(texts);
}

describe.each([HORIZON_MS, 20])('delayed messages, with a horizon of %p ms,', (horizonMs) => {
  beforeAll(() => {
    timerHorizonMs = horizonMs;
  });

  it('come when they are due, not before, in the order of their times', async () => {
    await client.attach(PATIENT);
    await client.session.append([message('late', after(3_600_000)), message('soon', after(100))]);
    await pass(99);
    expect(client.texts).toEqual([]);
    await pass(1);
    await come('soon');
    await pass(3_600_000);
    await come('soon', 'late');
    expect(await pending()).toBe(0);
  });

  it('that became due while the broker was down come when it is opened, once', async () => {
    await client.session.append([message('x', after(1_000))]);
    clock.advance(5_000);
    broker = await sandbox.reopen();
    await until(async () => {
      client = new EngineClient(broker);
      return (await pending()) === 0;
    });
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach(PATIENT);
    await client.take();
    await settled();
    expect(client.delivered).toEqual([]);
  });

  it('are neither lost nor repeated when the clock jumps back and forth', async () => {
    await client.attach(PATIENT);
    await client.session.append([message('a', after(60_000))]);
    await pass(-3_600_000);
    await client.session.append([message('b', after(1_000))]);
    await pass(999);
    expect(client.texts).toEqual([]);
    await pass(1);
    await come('b');
    await pass(3_600_000);
    await pass(12 * 3_600_000);
    await come('b', 'a');
  });

  it('are taken back by their handle until they have fired, also after a restart', async () => {
    await client.attach(PATIENT);
    await client.session.append([
      message('x', { ...after(1_000), timerId: 'h' }),
      message('y', { ...after(10), timerId: 'i' }),
    ]);
    await pass(10);
    await come('y');
    expect(await client.session.recall('i')).toBe(false);
    expect(await client.session.recall('h')).toBe(true);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach(PATIENT);
    await pass(10_000);
    await come('y');
    expect(await pending()).toBe(0);
  });

  it('are not taken back under another handle that happens to have the same hash', async () => {
    const [meant, other] = ['tag-179599', 'tag-362382'];
    expect(hashOf(meant)).toBe(hashOf(other));
    await client.attach(PATIENT);
    await client.session.append([message('other', { ...after(1_000), timerId: other })]);
    expect(await client.session.recall(meant)).toBe(false);
    await client.session.append([message('meant', { ...after(1_000), timerId: meant })]);
    expect(await client.session.recall(meant)).toBe(true);
    await pass(1_000);
    await come('other');
  });

  it('are taken back once: repeating a recall gets the same answer, also after a restart', async () => {
    await client.session.append([message('x', { ...after(1_000), timerId: 'h' })]);
    expect(await client.session.recall('h')).toBe(true);
    expect(await client.session.recall('h')).toBe(true);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    expect(await client.session.recall('h')).toBe(true);
    await client.session.append([message('y', { ...after(1_000), timerId: 'h' })]);
    await pass(1_000);
    await until(async () => (await pending()) === 0);
    expect(await client.session.recall('h')).toBe(false);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    expect(await client.session.recall('h')).toBe(false);
  });

  it('are stored once under a pending handle, whatever their ids', async () => {
    const [first] = await client.session.append([message('x', { ...after(1_000), timerId: 'h', id: 'm1' })]);
    const [second, third] = await client.session.append([
      message('x', { ...after(2_000), timerId: 'h', id: 'm2' }),
      message('z', { ...after(2_000), timerId: 'other', id: 'm3' }),
    ]);
    expect(first).toMatchObject({ duplicate: false, messageId: 'm1' });
    expect(second).toMatchObject({ duplicate: true, messageId: 'm1' });
    expect(third).toMatchObject({ duplicate: false });
    expect(await pending()).toBe(2);
  });

  it('have their handles by topic, and a recall says which is meant where two have the same', async () => {
    const { session } = client;
    await client.attach({ ...PATIENT, topics: [{ topic: 't' }, { topic: 'billing' }] });
    const [one, two] = await session.append([
      message('timeout', { ...after(1_000), timerId: 'h' }),
      message('reminder', { ...after(1_000), timerId: 'h', topic: 'billing' }),
    ]);
    expect([one, two]).toMatchObject([{ duplicate: false }, { duplicate: false }]);
    await expect(session.recall('h')).rejects.toThrow('the topics billing, t have delayed messages');
    expect(await session.recall('h', 't')).toBe(true);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach({ ...PATIENT, topics: [{ topic: 't' }, { topic: 'billing' }] });
    expect(await client.session.recall('h', 't')).toBe(true);
    await pass(1_000);
    await come('reminder');
    expect(await client.session.recall('h', 'billing')).toBe(false);
    await expect(client.session.recall('h', 'nobody')).rejects.toThrow('UNKNOWN_TOPIC');
  });

  it('that were prepared twice under one handle are taken back together, whichever is committed when', async () => {
    await client.attach(PATIENT);
    const prepared = (): Promise<string> =>
      client.session.prepare('p', [message('timeout', { ...after(60_000), timerId: 'h' })]);
    const [one, two, three] = [await prepared(), await prepared(), await prepared()];
    await client.session.decide(two, 'commit');
    await client.session.decide(one, 'commit');
    expect(await client.session.recall('h')).toBe(true);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach(PATIENT);
    // Its producer's check-back comes last.
    expect(await client.session.decide(three, 'commit')).toMatchObject([
      { status: 'SEND_OK', partition: -1 },
    ]);
    await pass(61_000);
    expect(client.delivered).toEqual([]);
    expect(await client.session.recall('h')).toBe(true);
  });

  it('that were due at once are not said to have been taken back, as an earlier one of their handle was', async () => {
    await client.attach(PATIENT);
    await client.session.append([message('first', { ...after(1_000), id: 'h' })]);
    expect(await client.session.recall('h')).toBe(true);
    await pass(300_000);
    await client.session.append([message('fill')]);
    await pass(300_000);
    await client.session.append([message('second', { deliverAtMs: clock.now() - 1, timerId: 'h' })]);
    await until(() => client.texts.includes('second'));
    expect(await client.session.recall('h')).toBe(false);
    broker = await sandbox.reopen();
    expect(await new EngineClient(broker).session.recall('h')).toBe(false);
  });

  it('fire in thousands, each once', async () => {
    const batch = (n: number) =>
      Array.from({ length: 1_000 }, (_, i) => message(`${n}-${i}`, after(1 + ((i * 7) % 500))));
    for (let n = 0; n < 12; n++) await client.session.append(batch(n));
    await client.attach({ ...PATIENT, maxInFlightMessages: 20_000 });
    await pass(600);
    await until(() => client.delivered.length === 12_000);
    expect(new Set(client.delivered.map(textOf)).size).toBe(12_000);
    expect(await pending()).toBe(0);
  });
});
