import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { defineEvent } from './contract.js';
import { envelope } from './envelope.js';
import { Outbox, OutboxRelay } from './outbox.js';
import { FakeBroker } from './testing/fake-broker.js';
import { MemoryDatabase } from './testing/memory-database.js';
import { until } from './testing/until.js';

const Written = defineEvent({
  topic: 'order',
  tag: 'written',
  version: 1,
  key: ({ n }) => String(n),
  payload: z.object({ n: z.number() }),
});

async function write(database: MemoryDatabase, ...ns: number[]): Promise<void> {
  const outbox = new Outbox(database, { producer: 'spec' });
  await database.transaction((tx) =>
    outbox.append(
      tx,
      ns.map((n) => envelope(Written, { n })),
    ),
  );
}

const keys = (broker: FakeBroker): (string | undefined)[] => broker.sent.map(({ key }) => key);

describe('the outbox relay', () => {
  it('sends committed rows in their order, in bounded batches, and each once', async () => {
    const [database, broker] = [new MemoryDatabase(), new FakeBroker()];
    await write(database, 1, 2, 3);
    const relay = new OutboxRelay({ store: database, broker, maxBatchMessages: 2 });
    expect([await relay.relayOnce(), await relay.relayOnce(), await relay.relayOnce()]).toEqual([2, 1, 0]);
    expect(keys(broker)).toEqual(['1', '2', '3']);
  });

  it('keeps a row whose message is not known to be on disk', async () => {
    const [database, broker] = [new MemoryDatabase(), new FakeBroker()];
    await write(database, 1);
    const relay = new OutboxRelay({ store: database, broker });
    broker.status = 'FLUSH_TIMEOUT';
    await expect(relay.relayOnce()).rejects.toMatchObject({ code: 'FLUSH_TIMEOUT' });
    broker.status = 'SEND_OK';
    expect(await relay.relayOnce()).toBe(1);
  });

  it('repeats the message id when it died between send and mark', async () => {
    const [database, broker] = [new MemoryDatabase(), new FakeBroker()];
    await write(database, 1);
    const markSent = (): Promise<void> => Promise.reject(new Error('died'));
    const dying = new OutboxRelay({ store: { take: (limit) => database.take(limit), markSent }, broker });
    await expect(dying.relayOnce()).rejects.toThrow('died');
    await new OutboxRelay({ store: database, broker }).relayOnce();
    const [first, second] = broker.sent.map(({ id }) => id);
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it('goes on after a failed send, without overtaking it', async () => {
    const [database, broker] = [new MemoryDatabase(), new FakeBroker()];
    await write(database, 1, 2);
    let failures = 2;
    const send: FakeBroker['send'] = (messages) =>
      failures-- > 0 ? Promise.reject(new Error('away')) : broker.send(messages);
    const relay = new OutboxRelay({ store: database, broker: { send }, maxBatchMessages: 1, pollMs: 1 });
    relay.start();
    await until(() => broker.sent.length === 2, 'both rows');
    await relay.stop();
    expect(keys(broker)).toEqual(['1', '2']);
  });

  it('stops without waiting for its pause, and can be started again', async () => {
    const [database, broker] = [new MemoryDatabase(), new FakeBroker()];
    const relay = new OutboxRelay({ store: database, broker, pollMs: 60_000 });
    relay.start();
    await relay.stop();
    await write(database, 1);
    relay.start();
    await until(() => broker.sent.length === 1, 'the row');
    await relay.stop();
  });

  it('takes nothing that no consumer could parse', async () => {
    const database = new MemoryDatabase();
    const outbox = new Outbox(database, { producer: 'spec' });
    const wrong = { contract: Written, payload: { n: 'one' }, options: {} };
    await expect(database.transaction((tx) => outbox.append(tx, [wrong]))).rejects.toMatchObject({
      code: 'INVALID_PAYLOAD',
    });
  });
});
