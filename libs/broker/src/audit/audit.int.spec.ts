import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AuditEntry, TopicInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MAX_AUDIT_ENTRIES } from './audit.js';

let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock, segmentBytes: 64 * 1024, retention: { maxAgeMs: 1_000 } });
  broker = await sandbox.open();
  client = new EngineClient(broker, 'alice');
});
afterEach(() => sandbox.cleanUp());

const audit = async (options?: object): Promise<AuditEntry[]> =>
  await client.admin<AuditEntry[]>('audit', options);

async function actOnce(): Promise<string> {
  const consumer = await client.attach();
  for (const id of ['m1', 'm2']) {
    await client.session.append([message(id, { id })]);
    const { deliveryId } = await client.take();
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
  }
  await client.session.detach(consumer);
  await client.admin('redrive', 'g', 'm1');
  clock.advance(5);
  const bob = new EngineClient(broker, 'bob').session;
  await bob.admin({ method: 'discard', args: ['g', 'm2'] });
  const half = await client.session.prepare('p', [message('half')]);
  await bob.admin({ method: 'decideTransaction', args: [half, 'rollback'] });
  await bob.admin({ method: 'resetGroup', args: ['g', 'earliest'] });
  return half;
}

describe('the audit', () => {
  it('tells who did what, when and on what, of what was done and of nothing else', async () => {
    const atMs = clock.now();
    const half = await actOnce();
    expect(await client.admin('redrive', 'g', 'm1')).toBe(false);
    await expect(client.admin('decideTransaction', half, 'commit')).rejects.toMatchObject({
      code: 'TRANSACTION_CONFLICT',
    });
    const byBob = { atMs: atMs + 5, untilMs: atMs + 5, by: 'bob', count: 1 };
    expect(await audit()).toEqual([
      { atMs, untilMs: atMs, by: 'alice', action: 'redrive', group: 'g', subject: 'm1', count: 1 },
      { ...byBob, action: 'discard', group: 'g', subject: 'm2' },
      { ...byBob, action: 'decide-transaction', subject: `${half} rollback` },
      { ...byBob, action: 'reset-group', group: 'g', subject: '"earliest"' },
    ]);
    expect((await audit({ group: 'g', limit: 2 })).map(({ action }) => action)).toEqual([
      'discard',
      'reset-group',
    ]);
  });

  it('does not tell of what producers decide themselves', async () => {
    const half = await client.session.prepare('p', [message('half')]);
    await client.session.decide(half, 'commit');
    expect(await audit()).toEqual([]);
  });

  it('outlives a restart, and the segments that it was recorded in', async () => {
    await actOnce();
    const before = await audit();
    broker = await sandbox.reopen();
    client = new EngineClient(broker, 'alice');
    expect(await audit()).toEqual(before);
    const consumer = await client.attach();
    for (let n = 0; n < 20; n++) await client.session.append([message('x'.repeat(20_000))]);
    await until(async () => {
      for (const delivery of client.delivered.splice(0)) await client.ack(delivery);
      const [group] = await client.admin<{ lag: number }[]>('groups');
      return group?.lag === 0;
    });
    await client.session.detach(consumer);
    clock.advance(20_000);
    broker.tick();
    await until(async () => {
      const topics = await client.admin<TopicInfo[]>('topics');
      return topics.find(({ topic }) => topic === '%DLQ%g')!.partitions[0]!.startOffset === 2;
    });
    await settled();
    broker = await sandbox.reopen();
    client = new EngineClient(broker, 'alice');
    expect(await audit()).toEqual(before);
  });

  it(`remembers ${MAX_AUDIT_ENTRIES} acts`, async () => {
    await client.attach();
    await client.session.append([message('1')]);
    for (let n = 0; n < MAX_AUDIT_ENTRIES + 5; n++) {
      clock.advance(1);
      await client.admin('resetGroup', 'g', n % 2 ? 'earliest' : 'latest');
    }
    const acts = await audit();
    expect(acts).toHaveLength(MAX_AUDIT_ENTRIES);
    expect(acts.at(-1)?.atMs).toBe(clock.now());
    expect(acts[0]?.atMs).toBe(clock.now() - MAX_AUDIT_ENTRIES + 1);
  });
});
