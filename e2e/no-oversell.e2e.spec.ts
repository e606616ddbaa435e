import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { eventually, insist } from './harness/client.js';
import { Shop } from './harness/shop.js';

const BUYERS = 2_000;
const TICKETS = 100;

describe('a sale with more buyers than tickets', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open();
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it(`sells ${TICKETS} tickets to ${BUYERS} concurrent buyers exactly once each`, async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(TICKETS, { perUserLimit: 1 });
    const answers = await Promise.all(
      Array.from({ length: BUYERS }, async () => {
        const [buyer, key] = [`buyer-${randomUUID()}`, randomUUID()];
        const { status, body } = await insist(() => client.placeOrder(buyer, ticketTypeId, 1, key));
        return { buyer, status, code: body.code, orderNo: body.orderNo };
      }),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    expect(accepted).toHaveLength(TICKETS);
    expect(new Set(accepted.map(({ orderNo }) => orderNo)).size).toBe(TICKETS);
    expect(answers.filter(({ code }) => code === 'SOLD_OUT')).toHaveLength(BUYERS - TICKETS);
    expect(await client.remaining(ticketTypeId)).toBe(0);

    await Promise.all(
      accepted.map(async ({ buyer, orderNo }) => {
        await client.orderIn(buyer, orderNo, ['PENDING_PAYMENT'], 30_000);
        await client.pay(buyer, orderNo);
        await client.orderIn(buyer, orderNo, ['PAID'], 30_000);
      }),
    );
    await client.verdictHolds();
  }, 120_000);

  it('keeps each buyer to the limit, also when they ask many times at once', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(1000, { perUserLimit: 4 });
    const buyer = `buyer-${randomUUID()}`;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => {
        const key = randomUUID();
        return insist(() => client.placeOrder(buyer, ticketTypeId, 1, key));
      }),
    );
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(4);
    expect(answers.filter(({ body }) => body.code === 'LIMIT_EXCEEDED')).toHaveLength(46);
    expect(await client.placeOrder(`buyer-${randomUUID()}`, ticketTypeId, 5)).toMatchObject({
      status: 409,
      body: { code: 'LIMIT_EXCEEDED' },
    });
    await eventually(
      async () => ((await client.remaining(ticketTypeId)) === 996 ? true : undefined),
      30_000,
      () => 'the limit let through more, or less, than four',
    );
  }, 60_000);
});
