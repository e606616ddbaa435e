import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TransactionInfo } from '#libs/messaging/port';
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

let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  // In memory, so that a few turns of the event loop are enough for whatever is written and read.
  sandbox = await BrokerSandbox.make({ clock, files: new MemoryFiles() });
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  broker.tick();
  await settled(5);
};
const info = async () =>
  (await client.session.admin({ method: 'transactions', args: [] })) as TransactionInfo;

describe('transactions', () => {
  it('commit all of their messages or none, delayed ones as timers, and survive a restart undecided', async () => {
    const later = { deliverAtMs: clock.now() + 1_000 };
    const id = await client.session.prepare('shop', [
      message('a'),
      message('b', { topic: 'u' }),
      message('c', later),
    ]);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach({ topics: [{ topic: 't' }, { topic: 'u' }] });
    await settled();
    expect(client.texts).toEqual([]);
    const receipts = await client.session.decide(id, 'commit');
    expect(receipts.map(({ topic, partition }) => [topic, partition >= 0])).toEqual([
      ['t', true],
      ['u', true],
      ['t', false],
    ]);
    await until(() => client.delivered.length === 2);
    await pass(1_000);
    expect(client.texts.sort()).toEqual(['a', 'b', 'c']);
  });

  it('keep their first decision over a restart: its repetition is fine, the opposite is a conflict', async () => {
    const id = await client.session.prepare('shop', [message('a')]);
    await client.session.decide(id, 'rollback');
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.session.decide(id, 'rollback');
    await expect(client.session.decide(id, 'commit')).rejects.toThrow('TRANSACTION_CONFLICT');
    await expect(client.session.decide('nobody', 'commit')).rejects.toThrow('UNKNOWN_TRANSACTION');
  });

  it('let exactly one of two racing decisions win', async () => {
    for (let round = 0; round < 20; round++) {
      const id = await client.session.prepare('shop', [message('a')]);
      const answers = await Promise.allSettled([
        client.session.decide(id, 'commit'),
        client.session.decide(id, 'rollback'),
      ]);
      expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    }
  });

  /** Answers the newest check with `unknown`. */
  const answer = async (): Promise<void> => {
    await client.session.decide(client.checks.at(-1)!.transactionId, 'unknown');
  };
  const restart = async (): Promise<void> => {
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.session.registerProducer('shop');
  };

  it('are asked for after 6 s, then every 30 s, until 15 checks were answered, and then parked', async () => {
    await client.session.registerProducer('shop');
    const id = await client.session.prepare('shop', [message('a', { id: 'm' })]);
    await pass(5_900);
    expect(client.checks).toEqual([]);
    await pass(100);
    expect(client.checks).toMatchObject([{ transactionId: id, messages: [{ id: 'm', topic: 't' }] }]);
    for (let check = 1; check <= 20; check++) {
      await answer();
      await pass(29_900);
      expect(client.checks.length).toBe(Math.min(15, check));
      await pass(100);
    }
    expect(client.checks.length).toBe(15);
    expect(await info()).toMatchObject({
      pending: 0,
      parked: [{ transactionId: id, producerGroup: 'shop', checks: 15 }],
    });
    await client.session.decide(id, 'commit');
    expect(await info()).toEqual({ pending: 0, parked: [] });
  });

  it('count the answered checks over restarts, and stay parked after one', async () => {
    await client.session.registerProducer('shop');
    const id = await client.session.prepare('shop', [message('a')]);
    await pass(6_000);
    let asked = 0;
    for (; asked < 15; asked++) {
      expect(client.checks.map(({ transactionId }) => transactionId)).toEqual([id]);
      await answer();
      await restart();
      await pass(29_900);
      expect(client.checks).toEqual([]);
      await pass(100);
    }
    expect(client.checks).toEqual([]);
    expect(await info()).toMatchObject({ pending: 0, parked: [{ transactionId: id, checks: 15 }] });
    await client.attach();
    await client.session.decide(id, 'commit');
    await until(() => client.texts.includes('a'));
  });

  it('use up no check by one that nobody answers, nor by what a producer says unasked', async () => {
    await client.session.registerProducer('shop');
    const id = await client.session.prepare('shop', [message('a')]);
    for (let i = 0; i < 20; i++) await client.session.decide(id, 'unknown');
    await pass(6_000);
    for (let i = 0; i < 20; i++) await pass(30_000);
    expect(client.checks.length).toBe(21);
    expect(await info()).toEqual({ pending: 1, parked: [] });
    await answer();
    await answer();
    await restart();
    await pass(30_000);
    expect(client.checks.length).toBe(1);
    expect(await info()).toEqual({ pending: 1, parked: [] });
  });

  it('of a producer that is away use up no checks, and are asked for at a pace when it is back', async () => {
    for (let i = 0; i < 250; i++) await client.session.prepare('shop', [message(`${i}`)]);
    for (let i = 0; i < 20; i++) await pass(60_000);
    await client.session.registerProducer('shop');
    await pass(100);
    expect(client.checks.length).toBe(100);
    await pass(500);
    expect(client.checks.length).toBe(150);
    await pass(1_000);
    expect(client.checks.length).toBe(250);
    expect((await info()).pending).toBe(250);
  });

  it('are asked of the replicas of a producer in turn', async () => {
    const replicas = ['one', 'two', 'three'].map((name) => new EngineClient(broker, name));
    for (const { session } of replicas) await session.registerProducer('shop');
    await client.session.prepare('shop', [message('a')]);
    await pass(6_000);
    for (let i = 0; i < 5; i++) await pass(30_000);
    expect(replicas.map(({ checks }) => checks.length)).toEqual([2, 2, 2]);
  });
});
