import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { OrderStatus } from '#libs/contracts';
import { eventually, type ShopClient } from './harness/client.js';
import { Shop } from './harness/shop.js';

const PAYMENT_TIMEOUT_MS = 4_000;
/** Raced in waves, so that a slow machine still reaches the checkout before the timeout. */
const WAVES = 5;
const RACES_PER_WAVE = 40;
const RACES = WAVES * RACES_PER_WAVE;

describe('an order that is not paid in time', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open({ PAYMENT_TIMEOUT_MS: String(PAYMENT_TIMEOUT_MS) });
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('is cancelled, and its ticket is sold again, once', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(3, { perUserLimit: 3 });
    const late = await client.buy('late-buyer', ticketTypeId, 3);
    expect(await client.placeOrder('next-buyer', ticketTypeId)).toMatchObject({ status: 409 });
    await client.orderIn('late-buyer', late.orderNo, ['CANCELLED']);
    await eventually(
      async () => ((await client.remaining(ticketTypeId)) === 3 ? true : undefined),
      10_000,
      () => 'the tickets did not come back',
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.placeOrder(`crowd-${index}`, ticketTypeId)),
    );
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(3);
  }, 60_000);

  it('is cancelled as often as it is paid: never both, when both happen at once', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(RACES, { perUserLimit: 1 });
    const outcomes: OrderStatus[] = [];
    for (let wave = 0; wave < WAVES; wave++) {
      outcomes.push(
        ...(await Promise.all(Array.from({ length: RACES_PER_WAVE }, () => race(client, ticketTypeId)))),
      );
    }
    // Nobody else wants these tickets, so a payment that lost the race gets its stock again.
    expect(outcomes.filter((status) => status === 'PAID')).toHaveLength(RACES);
    expect(await client.remaining(ticketTypeId)).toBe(0);
    await client.verdictHolds();
  }, 180_000);

  it('and then paid gets its stock again while there is some', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(2);
    const order = await client.buy('late-payer', ticketTypeId);
    const payment = await client.startPayment('late-payer', order.orderNo);
    await client.orderIn('late-payer', order.orderNo, ['CANCELLED']);
    await client.checkOut(payment.body.checkoutUrl, { outcome: 'succeed' });
    const paid = await client.orderIn('late-payer', order.orderNo, ['PAID']);
    expect(paid.history.map(({ status }) => status)).toEqual(expect.arrayContaining(['CANCELLED', 'PAID']));
    expect(await client.remaining(ticketTypeId)).toBe(1);
    await client.verdictHolds();
  }, 60_000);

  it('and then paid is refunded when its stock is gone', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(1);
    const order = await client.buy('too-late', ticketTypeId);
    const payment = await client.startPayment('too-late', order.orderNo);
    await client.orderIn('too-late', order.orderNo, ['CANCELLED']);
    const next = await eventually(
      async () => {
        const { status, body } = await client.placeOrder('next-buyer', ticketTypeId);
        return status === 202 ? body : undefined;
      },
      10_000,
      () => 'the ticket did not come back',
    );
    await client.orderIn('next-buyer', next.orderNo, ['PENDING_PAYMENT']);
    await client.pay('next-buyer', next.orderNo);
    await client.orderIn('next-buyer', next.orderNo, ['PAID']);
    await client.checkOut(payment.body.checkoutUrl, { outcome: 'succeed' });
    await client.orderIn('too-late', order.orderNo, ['REFUNDED']);
    expect(await client.remaining(ticketTypeId)).toBe(0);
    await client.verdictHolds();
  }, 60_000);
});

/** Pays so that the provider's webhook is sent around the moment at which the timeout fires. */
async function race(client: ShopClient, ticketTypeId: string): Promise<OrderStatus> {
  const buyer = `racer-${randomUUID()}`;
  const { orderNo, payBefore } = await client.buy(buyer, ticketTypeId);
  const payment = await client.startPayment(buyer, orderNo);
  expect(payment.status).toBe(201);
  const untilTimeoutMs = Date.parse(payBefore ?? '') - Date.now();
  const delayMs = Math.max(0, Math.round(untilTimeoutMs + (Math.random() - 0.5) * 400));
  await client.checkOut(payment.body.checkoutUrl, { outcome: 'succeed', delayMs, duplicates: 1 });
  const settled = await client.orderIn(buyer, orderNo, ['PAID', 'REFUNDED'], 45_000);
  return settled.status;
}
