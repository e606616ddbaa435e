import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { insist, type ShopClient } from './harness/client.js';
import { type ServiceName, Shop } from './harness/shop.js';

const BUYERS = 300;
const TICKETS = 120;
const VICTIMS: readonly ServiceName[] = [
  'order',
  'stock',
  'payment',
  'broker',
  'notification',
  'redis',
  'gateway',
  'ops',
];

/**
 * Every process is killed once in the middle of the same sale. A buyer's client does what a good client
 * does: it asks again with the same idempotency key until it has an answer.
 */
describe('a sale in which every process is killed once', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open({ PAYMENT_TIMEOUT_MS: '20000' });
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('sells every ticket once, loses no order, and the verdict holds', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(TICKETS, { perUserLimit: 1 });
    const sale = Promise.all(
      Array.from({ length: BUYERS }, async (_, index) => {
        await pause((index * 24_000) / BUYERS);
        return buyStubbornly(client, ticketTypeId);
      }),
    );
    for (const victim of VICTIMS) {
      await pause(3_000);
      shop.kill(victim);
    }
    const outcomes = await sale;
    const accepted = outcomes.filter((outcome) => outcome.orderNo !== undefined);
    expect(accepted.length).toBeGreaterThanOrEqual(TICKETS);

    for (const { buyer, orderNo } of accepted) {
      const order = await client.orderIn(
        buyer,
        orderNo ?? '',
        ['PAID', 'CANCELLED', 'REFUNDED', 'REJECTED'],
        60_000,
      );
      expect(order.orderNo).toBe(orderNo);
    }
    const verdict = await client.verdictHolds(90_000);
    expect(verdict.ok).toBe(true);
  }, 300_000);
});

type Outcome = { buyer: string; orderNo: string | undefined };

/** Buys and pays; connection errors and 5xx answers are asked again, a business answer is final. */
async function buyStubbornly(client: ShopClient, ticketTypeId: string): Promise<Outcome> {
  const [buyer, key] = [`buyer-${randomUUID()}`, randomUUID()];
  const placed = await insist(() => client.placeOrder(buyer, ticketTypeId, 1, key));
  if (placed.status !== 202) return { buyer, orderNo: undefined };
  const { orderNo } = placed.body;
  await client.orderIn(buyer, orderNo, ['PENDING_PAYMENT', 'CANCELLED', 'REJECTED'], 60_000);
  const payment = await insist(() => client.startPayment(buyer, orderNo));
  if (payment.status === 201) {
    const checkout = new URL(payment.body.checkoutUrl).pathname;
    await insist(() => client.call('POST', checkout, { body: { outcome: 'succeed' } }));
  }
  return { buyer, orderNo };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
