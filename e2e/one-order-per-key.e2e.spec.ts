import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Shop } from './harness/shop.js';

describe('an idempotency key', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open();
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('used twice gives one order', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(10);
    const [buyer, key] = [`buyer-${randomUUID()}`, randomUUID()];
    const first = await client.placeOrder(buyer, ticketTypeId, 1, key);
    const second = await client.placeOrder(buyer, ticketTypeId, 1, key);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body.orderNo).toBe(first.body.orderNo);
    await client.orderIn(buyer, first.body.orderNo, ['PENDING_PAYMENT']);
    const third = await client.placeOrder(buyer, ticketTypeId, 1, key);
    expect(third).toMatchObject({ status: 202, body: { orderNo: first.body.orderNo } });
    expect(await client.remaining(ticketTypeId)).toBe(9);
  }, 30_000);

  it('used ten times at once gives one order', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(10);
    const [buyer, key] = [`buyer-${randomUUID()}`, randomUUID()];
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => client.placeOrder(buyer, ticketTypeId, 1, key)),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ body }) => body.orderNo)).size).toBe(1);
    await client.orderIn(buyer, answers[0]?.body.orderNo ?? '', ['PENDING_PAYMENT']);
    expect(await client.remaining(ticketTypeId)).toBe(9);
  }, 30_000);

  it('used for another request is refused, and takes no ticket', async () => {
    const { client } = shop;
    const [ticketTypeId, other] = [await client.sell(10), await client.sell(10)];
    const [buyer, key] = [`buyer-${randomUUID()}`, randomUUID()];
    expect((await client.placeOrder(buyer, ticketTypeId, 1, key)).status).toBe(202);
    const reused = { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } };
    expect(await client.placeOrder(buyer, ticketTypeId, 2, key)).toMatchObject(reused);
    expect(await client.placeOrder(buyer, other, 1, key)).toMatchObject(reused);
    expect(await client.remaining(ticketTypeId)).toBe(9);
    expect(await client.remaining(other)).toBe(10);
  }, 30_000);

  it('belongs to its buyer: another buyer’s same key is another order', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(10);
    const key = randomUUID();
    const mine = await client.placeOrder(`buyer-${randomUUID()}`, ticketTypeId, 1, key);
    const yours = await client.placeOrder(`buyer-${randomUUID()}`, ticketTypeId, 1, key);
    expect(mine.body.orderNo).not.toBe(yours.body.orderNo);
  }, 30_000);
});
