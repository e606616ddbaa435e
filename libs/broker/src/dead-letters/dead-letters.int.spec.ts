import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { RawDelivery } from '../session.js';
import { MemoryFiles } from '../testing/memory-files.js';
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
    const letters = await client.admin<DeadLetter[]>('deadLetters', 'g');
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
    expect(await client.admin('discard', 'g', 'm2')).toBe(true);
    expect(await client.admin('discard', 'g', 'm2')).toBe(false);
    expect(await client.admin('redrive', 'g', 'm1')).toBe(true);
    expect(await client.admin('deadLetters', 'g')).toEqual([]);
    await client.attach();
    expect(await client.take()).toMatchObject({
      attempt: 1,
      history: [{ error: 'first' }, { error: 'broken' }],
      message: { id: 'm1', topic: 't' },
    });
  });

  it('are two when two messages of one id died, the older one first', async () => {
    await client.attach({ topics: [{ topic: 'order' }, { topic: 'billing' }] });
    for (const topic of ['order', 'billing']) {
      await client.session.append([message(topic, { topic, id: 'A-1' })]);
      await bury(await client.take());
    }
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    const topics = async (): Promise<string[]> =>
      (await client.admin<DeadLetter[]>('deadLetters', 'g')).map((each) => each.message.topic);
    expect(await topics()).toEqual(['order', 'billing']);
    expect(await client.admin('discard', 'g', 'A-1')).toBe(true);
    expect(await topics()).toEqual(['billing']);
    expect(await client.admin('redriveAll', 'g', {}, {})).toMatchObject({ redriven: 1, remaining: 0 });
    expect(await topics()).toEqual([]);
  });

  it('are one when the same message died again after a reset', async () => {
    await client.attach();
    await client.session.append([message('x', { id: 'm' })]);
    await bury(await client.take());
    await client.admin('resetGroup', 'g', 'earliest');
    await bury(await client.take(), 'again');
    expect(await client.admin('deadLetters', 'g')).toMatchObject([{ id: 'm', error: 'again' }]);
  });

  it('are listed when one of them cannot be read: it is told by what is known of it, and may be discarded', async () => {
    const files = new MemoryFiles();
    broker = await sandbox.reopen({ files, tailCacheBytes: 1, readCacheBytes: 1, segmentBytes: 64 * 1024 });
    client = new EngineClient(broker);
    await client.attach();
    for (const id of ['m1', 'm2']) {
      await client.session.append([message('x'.repeat(60_000), { id, tag: 'big' })]);
      await bury(await client.take());
    }
    for (let n = 0; n < 40; n++) {
      await client.session.append([message('y'.repeat(60_000))]);
      await client.ack(await client.take());
    }
    const [first] = files
      .paths()
      .filter((path) => path.endsWith('.log') && files.content(path).includes('broken'));
    files.failsToRead = (path) => path === first;
    expect(await client.admin('deadLetters', 'g')).toMatchObject([
      {
        id: 'm1',
        reason: 'rejected',
        error: expect.stringContaining('it cannot be read: EIO'),
        message: { topic: 't', tag: 'big' },
      },
      { id: 'm2', error: 'broken' },
    ]);
    expect(await client.admin('discard', 'g', 'm1')).toBe(true);
    expect(await client.admin('deadLetters', 'g')).toMatchObject([{ id: 'm2' }]);
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
    expect(await client.admin('deadLetters', 'ops')).toMatchObject([
      { id: 'm1', message: { topic: '%DLQ%g' } },
    ]);
  });
});
