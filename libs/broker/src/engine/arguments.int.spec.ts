import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Subscription, TransactionDecision } from '#libs/messaging/port';
import { BrokerSandbox, EngineClient, ManualClock, message, until } from '../testing/engine-client.js';
import type { EmbeddedBroker } from './embedded-broker.js';

const REFUSED = { code: 'INVALID_ARGUMENT' };

describe('arguments that only another process could give', () => {
  let sandbox: BrokerSandbox;
  let broker: EmbeddedBroker;
  let client: EngineClient;
  const clock = new ManualClock();

  beforeEach(async () => {
    sandbox = await BrokerSandbox.make({ clock });
    broker = await sandbox.open();
    client = new EngineClient(broker);
  });
  afterEach(() => sandbox.cleanUp());

  it('never record what the next start could not read', async () => {
    await expect(client.admin('createTopic', 123)).rejects.toMatchObject(REFUSED);
    await expect(broker.createTopic(123 as unknown as string)).rejects.toMatchObject(REFUSED);
    await sandbox.reopen();
  });

  it.each([
    ['constructor'],
    ['__proto__'],
    ['read', 't', 'length', 0, 10],
    ['read', 't'],
    ['deadLetters', 'g', { limit: 'all' }],
    ['redrive', 'g', 7],
    ['decideTransaction', 'id', 'unknown'],
    ['topics', 'too many'],
  ])('are refused by the admin call %s %p', async (method, ...args) => {
    await client.session.append([message('1')]);
    await expect(client.admin(method, ...args)).rejects.toMatchObject(REFUSED);
  });

  it.each([undefined, 'nowhere', {}, { partition: 0, offset: 1.5 }, { partition: 0, offset: 'abc' }])(
    'leave a group where it was: reset to %j',
    async (to) => {
      await client.session.append([message('1', { key: 'k' }), message('2', { key: 'k' })]);
      await client.attach();
      await expect(client.admin('resetGroup', 'g', to)).rejects.toMatchObject(REFUSED);
      await client.take();
      await client.take();
    },
  );

  it.each([
    { group: 5 },
    { topics: undefined },
    { topics: [] },
    { topics: [null] },
    { topics: [{ topic: 5 }] },
    { topics: [{ topic: 't', tags: 'a' }] },
    { mode: 'both' },
    { order: 'by-day' },
    { guarantee: 'exactly-once' },
    { startAt: 'noon' },
  ])('are refused in a subscription: %j', async (wrong) => {
    await expect(client.attach(wrong as unknown as Partial<Subscription>)).rejects.toMatchObject(REFUSED);
    expect(await client.admin('groups')).toEqual([]);
  });

  it('are refused as the mode of a consumer', async () => {
    await expect(client.attach({}, 'steal' as 'push')).rejects.toMatchObject(REFUSED);
  });

  it('decide no transaction', async () => {
    const id = await client.session.prepare('shop', [message('1')]);
    const decision = 'Commit' as TransactionDecision;
    await expect(client.session.decide(id, decision)).rejects.toMatchObject(REFUSED);
    await expect(client.session.decide(id, 'commit')).resolves.toHaveLength(1);
  });

  it('do not register a producer group, nor does a session that has ended', async () => {
    await expect(client.session.registerProducer('')).rejects.toMatchObject(REFUSED);
    await client.session.close();
    await expect(client.session.registerProducer('shop')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it.each([NaN, Infinity, 0, 25 * 3_600_000])('extend no lease: %p ms', async (leaseMs) => {
    await client.session.append([message('1')]);
    await client.attach();
    const { deliveryId } = await client.take();
    const settled = client.session.settle([{ deliveryId, verdict: 'extend', leaseMs }]);
    await expect(settled).rejects.toMatchObject(REFUSED);
    clock.advance(31_000);
    broker.tick();
    await until(() => client.lost.includes(deliveryId), 'the loss of the lease');
  });

  it('do not make a pull return at once', async () => {
    const id = await client.attach({}, 'pull');
    await expect(client.session.pull(id, 1, 2 ** 31)).rejects.toMatchObject(REFUSED);
    await expect(client.session.pull(id, NaN, 1)).rejects.toMatchObject(REFUSED);
  });
});
