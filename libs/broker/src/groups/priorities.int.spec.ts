import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message } from '../testing/engine-client.js';

let sandbox: BrokerSandbox;

beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ segmentBytes: 512 * 1024, tailCacheBytes: 0, readCacheBytes: 0 });
});
afterEach(() => sandbox.cleanUp());

/** Delivered one at a time. */
async function all(client: EngineClient, count: number): Promise<string[]> {
  const order: string[] = [];
  while (order.length < count) {
    const delivery = await client.take();
    order.push(Buffer.from(delivery.message.body).toString('latin1', 0, 1));
    await client.ack(delivery);
  }
  return order;
}

describe('strict priority', () => {
  it('holds for a backlog that is read from files, over partitions', async () => {
    let broker = await sandbox.open();
    await broker.createTopic('t', { partitions: 3 });
    let client = new EngineClient(broker);
    // 300 of 8 KiB lie in several blocks of each partition.
    for (const [priority, count] of [
      [0, 280],
      [5, 10],
      [9, 10],
    ] as const) {
      const texts = Array.from({ length: count }, () => `${priority}`.padEnd(8_192));
      for (let from = 0; from < count; from += 20)
        await client.session.append(
          texts.slice(from, from + 20).map((text, n) => message(text, { priority, key: `${from + n}` })),
        );
    }
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach({ maxInFlightMessages: 1 });
    const order = await all(client, 300);
    expect(order.join('')).toBe('9'.repeat(10) + '5'.repeat(10) + '0'.repeat(280));
  });
});
