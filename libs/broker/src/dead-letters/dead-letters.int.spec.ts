import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { RawDelivery } from '../session.js';
import { BrokerSandbox, EngineClient, message, settled, until } from '../testing/engine-client.js';

let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  sandbox = await BrokerSandbox.make();
  broker = await sandbox.open();
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const bury = ({ deliveryId }: RawDelivery, error = 'broken') =>
  client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error }]);
const admin = (method: string, ...args: unknown[]) => client.session.admin({ method, args });

describe('dead letters', () => {
  it('are there after a restart with reason, tries and original place, until redriven or discarded', async () => {
    await client.attach();
    await client.session.append([
      message('1', { id: 'm1', headers: { a: 'b' } }),
      message('2', { id: 'm2' }),
    ]);
    await client.retry(await client.take(), 0, 'first');
    await until(() => client.delivered.length === 2);
    for (const delivery of client.delivered.splice(0)) await bury(delivery);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    const letters = (await admin('deadLetters', 'g')) as {
      id: string;
      attempts: unknown[];
      message: { topic: string };
    }[];
    expect(letters.map(({ id }) => id).sort()).toEqual(['m1', 'm2']);
    expect(letters.find(({ id }) => id === 'm1')).toMatchObject({
      reason: 'rejected',
      error: 'broken',
      attempts: [
        { attempt: 1, error: 'first' },
        { attempt: 2, error: 'broken' },
      ],
      message: { topic: 't', headers: { a: 'b' } },
    });
    expect(await admin('discard', 'g', 'm2')).toBe(true);
    expect(await admin('discard', 'g', 'm2')).toBe(false);
    expect(await admin('redrive', 'g', 'm1')).toBe(true);
    expect(await admin('deadLetters', 'g')).toEqual([]);
    await client.attach();
    expect(await client.take()).toMatchObject({
      attempt: 1,
      history: [{ error: 'first' }, { error: 'broken' }],
      message: { id: 'm1', topic: 't' },
    });
  });

  it('reach whoever subscribes to %DLQ%*, of groups that come later too, but not its own', async () => {
    const ops = new EngineClient(broker, 'ops');
    await ops.attach({ group: 'ops', topics: [{ topic: '%DLQ%*' }] });
    await client.attach();
    await client.session.append([message('1', { id: 'm1', headers: { a: 'b' } })]);
    const { message: original } = await client.take();
    client.delivered.length = 0;
    await client.session.settle([{ deliveryId: 0, verdict: 'ack' }]);
    await client.session.close();
    client = new EngineClient(broker);
    await client.attach();
    await bury(await client.take(), 'no good');
    const seen = await ops.take();
    expect(seen.message).toMatchObject({ id: 'm1', topic: '%DLQ%g', tag: 'a' });
    expect(seen.message.headers).toMatchObject({
      a: 'b',
      'x-dead-letter-reason': 'rejected',
      'x-dead-letter-error': 'no good',
      'x-dead-letter-group': 'g',
    });
    expect(JSON.parse(seen.message.headers['x-dead-letter-origin']!)).toMatchObject({
      topic: 't',
      offset: original.offset,
    });
    await ops.session.settle([
      { deliveryId: seen.deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'ops too' },
    ]);
    await settled();
    expect(ops.delivered).toEqual([]);
    expect(await admin('deadLetters', 'ops')).toMatchObject([{ id: 'm1', message: { topic: '%DLQ%g' } }]);
  });
});
