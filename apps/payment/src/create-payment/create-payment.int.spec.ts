import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';
import { PaymentUnderTest } from '../testing/payment-under-test.js';

let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

test('asked twice, or ten times at once, an order has one pending payment', async () => {
  const orderNo = payments.newOrderNo();
  const answers = await Promise.all(Array.from({ length: 10 }, () => payments.created(orderNo)));
  answers.push(await payments.created(orderNo));
  expect(new Set(answers.map(({ paymentId }) => paymentId)).size).toBe(1);
  expect(new Set(answers.map(({ checkoutUrl }) => checkoutUrl)).size).toBe(1);
  expect(await payments.database.payment.count({ where: { orderNo } })).toBe(1);
});

test('after a declined payment there is another one', async () => {
  const orderNo = payments.newOrderNo();
  const first = await payments.created(orderNo);
  expect(await payments.deliver(payments.webhook('payment.failed', first.paymentId))).toBe(204);
  expect((await payments.created(orderNo)).paymentId).not.toBe(first.paymentId);
});

test('one that is captured while another is being made leaves no second payment', async () => {
  const orderNo = payments.newOrderNo();
  const first = await payments.created(orderNo);
  await payments.deliver(payments.webhook('payment.failed', first.paymentId));
  const provider = payments.get<PaymentProvider>(PAYMENT_PROVIDER);
  const createIntent = provider.createIntent.bind(provider);
  // The first card is accepted after all, after the order was looked at and before the new payment is written.
  provider.createIntent = async (intent) => {
    provider.createIntent = createIntent;
    await payments.deliver(payments.webhook('payment.succeeded', first.paymentId));
    return createIntent(intent);
  };
  const answer = await payments.create(orderNo);
  expect(answer.status).toBe(409);
  expect(await answer.json()).toMatchObject({ code: 'ORDER_NOT_PAYABLE' });
  expect(await payments.database.payment.count({ where: { orderNo } })).toBe(1);
});

test('a paid order is not payable', async () => {
  const orderNo = payments.newOrderNo();
  const { paymentId } = await payments.created(orderNo);
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  const answer = await payments.create(orderNo);
  expect(answer.status).toBe(409);
  expect(await answer.json()).toMatchObject({ code: 'ORDER_NOT_PAYABLE' });
});

test('the checkout is where the buyer came from', async () => {
  const response = await payments.create(payments.newOrderNo(), {
    'x-forwarded-host': 'shop.example',
    'x-forwarded-proto': 'https',
  });
  expect(await response.json()).toMatchObject({
    status: 'PENDING',
    checkoutUrl: expect.stringMatching(
      /^https:\/\/shop\.example\/api\/provider\/checkouts\/pi_[0-9a-f]{32}$/,
    ),
  });
});

test.each([
  '/internal/payments',
  '/api/provider/intents',
  '/api/provider/refunds',
  '/api/provider/dashboard/refunds',
  '/api/provider/dashboard/disputes',
  '/api/provider/dashboard/events',
])('only services may call %s', async (path) => {
  const request = { orderNo: payments.newOrderNo(), buyerId: 'b', amountMinor: 1, currency: 'EUR' };
  expect((await payments.post(path, request)).status).toBe(401);
  expect((await payments.post(path, request, payments.as([]))).status).toBe(403);
  expect((await payments.post(path, request, payments.as(['admin']))).status).toBe(403);
  expect((await payments.post(path, {}, payments.as(['service']))).status).toBe(400);
});

test('only services may look at an intent', async () => {
  const { checkoutUrl } = await payments.created();
  const url = `${payments.url}/api/provider/intents/${checkoutUrl.split('/').at(-1) ?? ''}`;
  const statuses = [{}, payments.as([]), payments.as(['admin']), payments.as(['service'])].map(
    async (headers) => (await fetch(url, { headers })).status,
  );
  expect(await Promise.all(statuses)).toEqual([401, 403, 403, 200]);
});
