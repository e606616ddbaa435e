import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { EmbeddedBroker } from '#libs/broker';
import { OrderCreated, OrderSubmitted } from '#libs/contracts';
import type { BrokerConsumer, BrokerPort, DeliveredMessage } from '#libs/messaging';
import type { RedisStock } from '#libs/redis-stock';
import { OrderQueue } from './order-queue.js';

const MARGIN_MS = 5_000;

let dir: string;
let broker: EmbeddedBroker;
let port: BrokerPort;
let queue: OrderQueue;
const held = new Map<string, { heldAtMs: number }>();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stampede-queue-'));
  await open();
});
afterEach(async () => {
  await port.close();
  await broker.close();
  await rm(dir, { recursive: true, force: true });
});

async function open(): Promise<void> {
  broker = await EmbeddedBroker.open({ dir });
  port = broker.connect('spec');
  const hold = (orderNo: string) => Promise.resolve(held.get(orderNo));
  queue = new OrderQueue(port, { hold } as unknown as RedisStock);
}

async function submitted(...keys: string[]): Promise<void> {
  const { topic, tag } = OrderSubmitted;
  await port.send(keys.map((key) => ({ topic, tag, key, body: Buffer.from('{}') })));
}

/** The order service, which does with each message what `settle` says. */
function placing(settle: (delivery: DeliveredMessage) => Promise<void>): Promise<BrokerConsumer> {
  return port.subscribe(
    { group: 'order.place', topics: [{ topic: OrderSubmitted.topic, tags: [OrderSubmitted.tag] }] },
    async (batch) => {
      await Promise.all(batch.map(settle));
    },
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const groupOf = async (name = 'order.place') =>
  (await port.admin.groups()).find(({ group }) => group === name);
const doneBeforeMs = async (): Promise<number | undefined> =>
  (await queue.progress(Date.now()))?.doneBeforeMs;

it('knows of nothing waiting in an empty shop', async () => {
  const nowMs = Date.now();
  expect(await queue.progress(nowMs)).toEqual({ doneBeforeMs: nowMs, waiting: new Set() });
});

it('stands still at the oldest message while the order service is away, never was there, or is at work', async () => {
  const beforeMs = Date.now();
  await submitted('first', 'second', 'third');
  const afterMs = Date.now();
  const standsStill = async (): Promise<void> => {
    const at = (await doneBeforeMs()) ?? NaN;
    expect(at).toBeGreaterThanOrEqual(beforeMs - MARGIN_MS);
    expect(at).toBeLessThanOrEqual(afterMs - MARGIN_MS);
  };
  await standsStill();
  const deliveries: DeliveredMessage[] = [];
  const atWork = await placing((delivery) => {
    deliveries.push(delivery);
    return Promise.resolve();
  });
  await until(() => Promise.resolve(deliveries.length === 3));
  await standsStill();
  await atWork.close(0);
  await submitted('later');
  await standsStill();
  // Nor does a restart make it forget.
  await port.close();
  await broker.close();
  await open();
  await standsStill();
});

it('stands still at the hold of the oldest message, when the clock of the broker is ahead', async () => {
  const heldAtMs = Date.now() - 3_600_000;
  held.set('of an hour ago', { heldAtMs });
  await submitted('of an hour ago', 'later');
  expect(await doneBeforeMs()).toBe(heldAtMs);
});

it('goes on with the clock once all is finished', async () => {
  await submitted('first', 'second');
  await placing((delivery) => delivery.ack());
  await until(async () => (await groupOf())?.lag === 0);
  const nowMs = Date.now();
  expect(await queue.progress(nowMs)).toEqual({ doneBeforeMs: nowMs, waiting: new Set() });
});

it('cannot tell while a message is tried again', async () => {
  await submitted('first');
  await placing((delivery) => delivery.retry({ delayMs: 60_000, error: 'not yet' }));
  await until(async () => (await groupOf())?.retrying === 1);
  expect(await doneBeforeMs()).toBeUndefined();
});

it('names the orders whose messages died, until they are discarded', async () => {
  await submitted('dead', 'fine');
  await placing((delivery) =>
    delivery.message.key === 'dead'
      ? delivery.deadLetter({ reason: 'rejected', error: 'no' })
      : delivery.ack(),
  );
  await until(async () => (await groupOf())?.deadLetters === 1 && (await groupOf())?.lag === 0);
  expect((await queue.progress(Date.now()))?.waiting).toEqual(new Set(['dead']));
  const [letter] = await port.admin.deadLetters('order.place');
  await port.admin.discard('order.place', letter?.id ?? '');
  expect((await queue.progress(Date.now()))?.waiting).toEqual(new Set());
});

it('cannot tell while one that died has been given back, however long ago its hold has expired', async () => {
  await submitted('dead', 'fine');
  const consumer = await placing((delivery) =>
    delivery.message.key === 'dead'
      ? delivery.deadLetter({ reason: 'rejected', error: 'no' })
      : delivery.ack(),
  );
  await until(async () => (await groupOf())?.deadLetters === 1 && (await groupOf())?.lag === 0);
  await consumer.close();
  const [letter] = await port.admin.deadLetters('order.place');
  await port.admin.redrive('order.place', letter?.id ?? '');
  expect(await doneBeforeMs()).toBeUndefined();
  await port.close();
  await broker.close();
  await open();
  expect(await doneBeforeMs()).toBeUndefined();
  await placing((delivery) => delivery.ack());
  await until(async () => (await groupOf())?.lag === 0);
  expect(await doneBeforeMs()).toBeDefined();
});

it('knows nothing when the broker is away', async () => {
  await port.close();
  await expect(queue.progress(Date.now())).rejects.toThrow();
});

it('is quiet when no order is on its way: in the queue, in a transaction, or to the ledger', async () => {
  expect(await queue.isQuiet()).toBe(false);
  const places = await placing((delivery) => delivery.ack());
  let isDeducting = false;
  await port.subscribe(
    { group: 'stock.deduct', topics: [{ topic: OrderCreated.topic, tags: [OrderCreated.tag] }] },
    async (batch) => {
      await until(() => Promise.resolve(isDeducting));
      for (const delivery of batch) await delivery.ack();
    },
  );
  expect(await queue.isQuiet()).toBe(false);
  await port.subscribe({ group: 'stock.confirm', topics: [{ topic: 'order', tags: ['paid'] }] }, () =>
    Promise.resolve(),
  );
  expect(await queue.isQuiet()).toBe(true);
  const { topic, tag } = OrderCreated;
  const transaction = await port.prepare('order', [{ topic, tag, key: 'a', body: Buffer.from('{}') }]);
  expect(await queue.isQuiet()).toBe(false);
  await transaction.commit();
  expect(await queue.isQuiet()).toBe(false);
  isDeducting = true;
  await until(() => queue.isQuiet());
  await places.close();
  await submitted('next');
  expect(await queue.isQuiet()).toBe(false);
});

it('is not quiet with a dead order, nor with a transaction that waits for an operator', async () => {
  const isQuiet = async (groups = ['stock.deduct', 'stock.confirm']): Promise<boolean> => {
    for (const group of groups)
      await port.subscribe({ group, topics: [{ topic: 'order', tags: ['created', 'paid'] }] }, () =>
        Promise.resolve(),
      );
    return queue.isQuiet();
  };
  await placing((delivery) =>
    delivery.message.key === 'dead'
      ? delivery.deadLetter({ reason: 'rejected', error: 'no' })
      : delivery.ack(),
  );
  expect(await isQuiet()).toBe(true);
  const parked = [{ transactionId: 't', producerGroup: 'order', preparedAtMs: 0, checks: 15 }];
  const transactions = { value: () => Promise.resolve({ pending: 0, parked }) };
  const admin = Object.create(port.admin, { transactions }) as BrokerPort['admin'];
  expect(
    await new OrderQueue(
      Object.create(port, { admin: { value: admin } }) as BrokerPort,
      {} as RedisStock,
    ).isQuiet(),
  ).toBe(false);
  await submitted('dead');
  await until(async () => (await groupOf())?.deadLetters === 1);
  expect(await queue.isQuiet()).toBe(false);
});
