import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { OrderView } from '#libs/contracts';
import { eventually } from './harness/client.js';
import { Shop } from './harness/shop.js';

type Mailbox = { items: { channel: string; subjectId?: string; recipient: string; text: string }[] };

describe('a purchase', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open();
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('goes from a ticket on sale to a paid order with its notifications', async () => {
    const { client } = shop;
    const buyer = `buyer-${randomUUID()}`;
    const ticketTypeId = await client.sell(10);

    const accepted = await client.placeOrder(buyer, ticketTypeId, 2);
    expect(accepted).toMatchObject({ status: 202, body: { status: 'QUEUED' } });
    expect(accepted.body.queuePosition).toBeGreaterThanOrEqual(1);
    const { orderNo } = accepted.body;

    const pending = await client.orderIn(buyer, orderNo, ['PENDING_PAYMENT']);
    expect(pending).toMatchObject({ ticketTypeId, quantity: 2, totalMinor: 9_900, currency: 'EUR' });
    expect(Date.parse(pending.payBefore ?? '')).toBeGreaterThan(Date.now());

    const first = await client.startPayment(buyer, orderNo);
    const second = await client.startPayment(buyer, orderNo);
    expect(first).toMatchObject({ status: 201, body: { status: 'PENDING' } });
    expect(second.body.paymentId).toBe(first.body.paymentId);
    await client.checkOut(first.body.checkoutUrl, { outcome: 'succeed' });

    const paid = await client.orderIn(buyer, orderNo, ['PAID']);
    expect(paid.history.map(({ status }) => status)).toEqual(
      expect.arrayContaining(['PENDING_PAYMENT', 'PAID']),
    );
    expect(await client.startPayment(buyer, orderNo)).toMatchObject({
      status: 409,
      body: { code: 'ORDER_NOT_PAYABLE' },
    });
    expect(await client.remaining(ticketTypeId)).toBe(8);

    const mailbox = await eventually(
      async () => {
        const { body } = await client.admin<Mailbox>('GET', '/api/ops/mailbox?limit=100');
        const about = body.items.filter((item) => item.text.includes(orderNo));
        const channels = new Set(about.map(({ channel }) => channel));
        return ['sms', 'email', 'push'].every((channel) => channels.has(channel)) ? about : undefined;
      },
      15_000,
      () => `no notification on every channel for ${orderNo}`,
    );
    expect(mailbox).toHaveLength(3);
    await client.verdictHolds();
  }, 60_000);

  it('after a declined payment can be paid by a second one', async () => {
    const { client } = shop;
    const buyer = `buyer-${randomUUID()}`;
    const order = await client.buy(buyer, await client.sell(1));
    const declined = await client.startPayment(buyer, order.orderNo);
    await client.checkOut(declined.body.checkoutUrl, { outcome: 'fail' });
    const again = await eventually(
      async () => {
        const { body } = await client.startPayment(buyer, order.orderNo);
        return body.paymentId !== declined.body.paymentId ? body : undefined;
      },
      10_000,
      () => 'the declined payment is still the pending one',
    );
    await client.checkOut(again.checkoutUrl, { outcome: 'succeed' });
    await client.orderIn(buyer, order.orderNo, ['PAID']);
  }, 30_000);

  it('is its buyer’s alone', async () => {
    const { client } = shop;
    const buyer = `buyer-${randomUUID()}`;
    const order = await client.buy(buyer, await client.sell(5));
    const hidden = { status: 404, body: { code: 'ORDER_NOT_FOUND' } };
    expect(await client.order('somebody-else', order.orderNo)).toMatchObject(hidden);
    expect(await client.startPayment('somebody-else', order.orderNo)).toMatchObject(hidden);
    const cancel = `/api/orders/${order.orderNo}/cancel`;
    expect(await client.call('POST', cancel, { as: 'somebody-else' })).toMatchObject(hidden);
    const { body } = await client.call<{ items: OrderView[] }>('GET', '/api/orders', { as: buyer });
    expect(body.items.map(({ orderNo }) => orderNo)).toEqual([order.orderNo]);
  }, 30_000);

  it('cancelled by its buyer gives its tickets back', async () => {
    const { client } = shop;
    const buyer = `buyer-${randomUUID()}`;
    const ticketTypeId = await client.sell(2);
    const order = await client.buy(buyer, ticketTypeId, 2);
    expect(await client.placeOrder('next-buyer', ticketTypeId)).toMatchObject({
      status: 409,
      body: { code: 'SOLD_OUT' },
    });
    const cancelled = await client.call('POST', `/api/orders/${order.orderNo}/cancel`, { as: buyer });
    expect(cancelled.status).toBe(202);
    await client.orderIn(buyer, order.orderNo, ['CANCELLED']);
    await eventually(
      async () => ((await client.remaining(ticketTypeId)) === 2 ? true : undefined),
      10_000,
      () => 'the tickets did not come back',
    );
    expect(await client.startPayment(buyer, order.orderNo)).toMatchObject({
      status: 409,
      body: { code: 'ORDER_NOT_PAYABLE' },
    });
    await client.buy('next-buyer', ticketTypeId, 2);
  }, 30_000);

  it('can be followed event by event', async () => {
    const { client } = shop;
    const buyer = `buyer-${randomUUID()}`;
    const { body } = await client.placeOrder(buyer, await client.sell(1));
    const response = await fetch(`${client.baseUrl}/api/orders/${body.orderNo}/events`, {
      headers: { authorization: `Bearer ${await client.token(buyer)}`, accept: 'text/event-stream' },
    });
    expect(response.headers.get('content-type')).toMatch('text/event-stream');
    let stream = '';
    const reading = (async () => {
      for await (const chunk of response.body ?? []) {
        stream += Buffer.from(chunk as Uint8Array).toString();
        if (stream.includes('"PAID"')) return;
      }
    })();
    await client.orderIn(buyer, body.orderNo, ['PENDING_PAYMENT']);
    await client.pay(buyer, body.orderNo);
    await reading;
    expect(stream).toMatch(/"PENDING_PAYMENT"[\s\S]*"PAID"/);
  }, 30_000);
});
