import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { eventually, type ShopClient } from './harness/client.js';
import { Shop } from './harness/shop.js';

const HOLD_TIMEOUT_MS = 4_000;

type Mailbox = { items: { channel: string; text: string; kind?: string }[] };

describe('a buyer', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open({
      HOLD_TIMEOUT_MS: String(HOLD_TIMEOUT_MS),
      SUBMIT_TIMEOUT_MS: String(HOLD_TIMEOUT_MS / 2),
      PAYMENT_TIMEOUT_MS: '60000',
    });
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('who cancels while the money is on its way gets it back, and no ticket', async () => {
    const { client } = shop;
    const buyer = `canceller-${randomUUID()}`;
    const ticketTypeId = await client.sell(3);
    const { orderNo } = await client.buy(buyer, ticketTypeId);
    await client.pay(buyer, orderNo, { delayMs: 4_000, duplicates: 1 });
    expect((await client.call('POST', `/api/orders/${orderNo}/cancel`, { as: buyer })).status).toBe(202);
    const ended = await client.orderIn(buyer, orderNo, ['REFUNDED']);
    expect(ended.history.map(({ status }) => status)).not.toContain('PAID');
    expect(await client.remaining(ticketTypeId)).toBe(3);
    expect(await smsOf(client, orderNo, 2)).toEqual(['order-cancelled', 'order-refunded']);
    await client.verdictHolds();
  }, 60_000);

  it('of tickets that cost nothing has them at once, and no payment to make', async () => {
    const { client } = shop;
    const buyer = `guest-${randomUUID()}`;
    const ticketTypeId = await client.sell(3, { priceMinor: 0 });
    const { body } = await client.placeOrder(buyer, ticketTypeId, 2);
    const order = await client.orderIn(buyer, body.orderNo, ['PAID']);
    expect(order.history.map(({ status }) => status)).not.toContain('PENDING_PAYMENT');
    expect(order.payBefore).toBeUndefined();
    expect(await client.startPayment(buyer, order.orderNo)).toMatchObject({
      status: 409,
      body: { code: 'ORDER_NOT_PAYABLE' },
    });
    expect(await client.remaining(ticketTypeId)).toBe(1);
    expect(await smsOf(client, order.orderNo, 1)).toEqual(['order-paid']);
    await client.verdictHolds();
  }, 60_000);

  it('whose card is declined is told, and once', async () => {
    const { client } = shop;
    const buyer = `declined-${randomUUID()}`;
    const { orderNo } = await client.buy(buyer, await client.sell(3));
    const payment = await client.startPayment(buyer, orderNo);
    await client.checkOut(payment.body.checkoutUrl, { outcome: 'fail', duplicates: 3 });
    expect(await smsOf(client, orderNo, 1)).toEqual(['payment-declined']);
    await client.pay(buyer, orderNo);
    await client.orderIn(buyer, orderNo, ['PAID']);
    expect(await smsOf(client, orderNo, 2)).toEqual(['order-paid', 'payment-declined']);
    await client.verdictHolds();
  }, 60_000);

  it('buys nothing once the session has begun', async () => {
    const { client } = shop;
    const sellShortly = async (leadMs: number): Promise<{ startsAt: Date; ticketTypeId: string }> => {
      const startsAt = new Date(Date.now() + leadMs);
      const ticketTypeId = await client.sell(3, { startsAt });
      const { status } = await client.placeOrder('early', ticketTypeId);
      // On a machine that was too slow for this, it had begun: once more, with more time.
      if (Date.now() >= startsAt.getTime()) return sellShortly(2 * leadMs);
      expect(status).toBe(202);
      return { startsAt, ticketTypeId };
    };
    const { startsAt, ticketTypeId } = await sellShortly(2_000);
    await eventually(
      async () => {
        const { status, body } = await client.placeOrder(`visitor-${randomUUID()}`, ticketTypeId);
        return status === 403 && 'code' in body && body.code === 'SALE_NOT_OPEN' ? true : undefined;
      },
      15_000,
      () => 'tickets are sold after the session began',
    );
    expect(Date.now()).toBeGreaterThanOrEqual(startsAt.getTime());
    expect(await client.remaining(ticketTypeId)).toBeUndefined();
  }, 60_000);

  it('who was told 202 has the order, however long the order service is away', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(20);
    const buyers = Array.from({ length: 20 }, () => `patient-${randomUUID()}`);
    shop.signal('order', 'SIGSTOP');
    let accepted: { status: number; body: { orderNo: string } }[];
    try {
      accepted = await Promise.all(buyers.map((buyer) => client.placeOrder(buyer, ticketTypeId)));
      const overMs = Date.now() + 2 * HOLD_TIMEOUT_MS;
      await eventually(
        () => Promise.resolve(Date.now() >= overMs ? true : undefined),
        20_000,
        () => 'the clock stands still',
      );
    } finally {
      shop.signal('order', 'SIGCONT');
    }
    for (const [index, { status, body }] of accepted.entries()) {
      expect(status).toBe(202);
      const order = await client.orderIn(
        buyers[index] ?? '',
        body.orderNo,
        ['PENDING_PAYMENT', 'REJECTED'],
        30_000,
      );
      expect(order.status).toBe('PENDING_PAYMENT');
    }
  }, 120_000);
});

/** What the buyer was told by SMS about an order, by kind in the order of their names, once there are so many. */
async function smsOf(client: ShopClient, orderNo: string, count: number): Promise<(string | undefined)[]> {
  let kinds: (string | undefined)[] = [];
  await eventually(
    async () => {
      const { body } = await client.admin<Mailbox>('GET', '/api/ops/mailbox?channel=sms&limit=200');
      kinds = body.items.filter(({ text }) => text.includes(orderNo)).map(({ kind }) => kind);
      return kinds.length >= count ? true : undefined;
    },
    15_000,
    () => `told of ${orderNo}: ${kinds.join()}`,
  );
  return kinds.sort();
}
