import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHmac, randomUUID } from 'node:crypto';
import { PaymentWebhookHeaders } from '#libs/contracts';
import { type Answer, type Problem, type ShopClient } from './harness/client.js';
import { Shop } from './harness/shop.js';

const WEBHOOK_SECRET = 'e2e-webhook-secret-that-is-long-enough';

describe('the payment webhook', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open({ PAYMENT_WEBHOOK_SECRET: WEBHOOK_SECRET });
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('sent many times pays an order once', async () => {
    const { client } = shop;
    const order = await client.buy('buyer', await client.sell(5));
    await client.pay('buyer', order.orderNo, { duplicates: 10 });
    await client.orderIn('buyer', order.orderNo, ['PAID']);
    await client.verdictHolds();
    const { body } = await client.order('buyer', order.orderNo);
    expect(body.history.filter(({ status }) => status === 'PAID')).toHaveLength(1);
  }, 60_000);

  it('with a wrong, an old or no signature changes nothing', async () => {
    const { client } = shop;
    const order = await client.buy('buyer', await client.sell(5));
    const payment = await client.startPayment('buyer', order.orderNo);
    const event = succeeded(payment.body.paymentId, order.totalMinor);
    const now = Math.floor(Date.now() / 1000);
    const refused = { status: 401, body: { code: 'SIGNATURE_INVALID' } };
    expect(await post(client, event, now, 'f'.repeat(64))).toMatchObject(refused);
    expect(await post(client, event, now - 301, sign(event, now - 301))).toMatchObject(refused);
    expect(await post(client, event, now, sign(`${event} `, now))).toMatchObject(refused);
    expect(await client.call('POST', '/api/payments/webhook', { body: event })).toMatchObject(refused);
    expect((await client.order('buyer', order.orderNo)).body.status).toBe('PENDING_PAYMENT');
  }, 30_000);

  it('out of order keeps the first outcome', async () => {
    const { client } = shop;
    const order = await client.buy('buyer', await client.sell(5));
    const { body } = await client.startPayment('buyer', order.orderNo);
    const now = Math.floor(Date.now() / 1000);
    const success = succeeded(body.paymentId, order.totalMinor);
    expect((await post(client, success, now, sign(success, now))).status).toBe(204);
    const failure = success
      .replace('payment.succeeded', 'payment.failed')
      .replace(/"eventId":"[^"]+"/, `"eventId":"${randomUUID()}"`);
    expect((await post(client, failure, now, sign(failure, now))).status).toBe(204);
    expect((await post(client, success, now, sign(success, now))).status).toBe(204);
    await client.orderIn('buyer', order.orderNo, ['PAID']);
  }, 30_000);
});

function succeeded(paymentId: string, amountMinor: number): string {
  return JSON.stringify({
    eventId: randomUUID(),
    type: 'payment.succeeded',
    paymentId,
    amountMinor,
    currency: 'EUR',
    occurredAt: new Date().toISOString(),
  });
}

const sign = (body: string, timestamp: number): string =>
  createHmac('sha256', WEBHOOK_SECRET).update(`${timestamp}.${body}`).digest('hex');

const post = (
  client: ShopClient,
  body: string,
  timestamp: number,
  signature: string,
): Promise<Answer<Problem>> =>
  client.call('POST', '/api/payments/webhook', {
    body,
    headers: {
      [PaymentWebhookHeaders.timestamp]: String(timestamp),
      [PaymentWebhookHeaders.signature]: signature,
    },
  });
