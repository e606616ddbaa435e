import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RefundRequested } from '#libs/contracts';
import { PaymentUnderTest } from '../testing/payment-under-test.js';

type Intent = { intentId: string };

let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

const delivered = async (paymentId: string): Promise<{ attempts: number; isDone: boolean }[]> => {
  const rows = await payments.database.providerWebhook.findMany({ where: { body: { contains: paymentId } } });
  return rows.map(({ attempts, deliveredAt }) => ({ attempts, isDone: deliveredAt !== null }));
};
const refundOf = (paymentId: string, orderNo: string): RefundRequested => ({
  paymentId,
  orderNo,
  amountMinor: 5_000,
  currency: 'EUR',
  reason: 'sold-out',
  requestedAt: new Date().toISOString(),
});

test('a buyer pays at the checkout, and the shop hears of it', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  const page = await fetch(checkoutUrl);
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(await page.text()).toContain('€50.00');
  expect((await payments.post(checkoutUrl, { outcome: 'succeed' })).status).toBe(202);
  await payments.until('paid', async () => (await payments.statusOf(paymentId)) === 'SUCCEEDED');
});

test('duplicates are all sent, and have one effect', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  await payments.post(checkoutUrl, { outcome: 'succeed', duplicates: 4 });
  await payments.until('all sent', async () => (await delivered(paymentId)).every(({ isDone }) => isDone));
  expect(await delivered(paymentId)).toHaveLength(5);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
});

test('a delayed webhook comes when it is due, not before', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  const before = Date.now();
  await payments.post(checkoutUrl, { outcome: 'fail', delayMs: 400 });
  await payments.until('declined', async () => (await payments.statusOf(paymentId)) === 'FAILED');
  expect(Date.now() - before).toBeGreaterThanOrEqual(395);
});

test('clicking again changes nothing; what is paid cannot be declined', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  const statuses = await Promise.all(
    Array.from({ length: 5 }, async () => (await payments.post(checkoutUrl, { outcome: 'succeed' })).status),
  );
  expect(new Set(statuses)).toEqual(new Set([202]));
  expect((await payments.post(checkoutUrl, { outcome: 'fail' })).status).toBe(409);
  await payments.until('paid', async () => (await payments.statusOf(paymentId)) === 'SUCCEEDED');
  expect(await delivered(paymentId)).toHaveLength(1);
});

test('a webhook that is not taken is sent again', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  payments.bus.crashAt = 'before the half message';
  await payments.post(checkoutUrl, { outcome: 'succeed' });
  await payments.until('sent', async () => (await delivered(paymentId)).every(({ isDone }) => isDone));
  expect(await delivered(paymentId)).toEqual([{ attempts: 2, isDone: true }]);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
});

test('an unknown checkout and a wrong request', async () => {
  const { checkoutUrl } = await payments.created();
  expect((await payments.post('/api/provider/checkouts/pi_none', { outcome: 'succeed' })).status).toBe(404);
  expect((await payments.post(checkoutUrl, { outcome: 'maybe' })).status).toBe(400);
  expect((await payments.post(checkoutUrl, { outcome: 'succeed', duplicates: 21 })).status).toBe(400);
});

test('a refund that is asked for five times happens once, under one key', async () => {
  const orderNo = payments.newOrderNo();
  const { paymentId, checkoutUrl } = await payments.created(orderNo);
  await payments.post(checkoutUrl, { outcome: 'succeed' });
  await payments.until('paid', async () => (await payments.statusOf(paymentId)) === 'SUCCEEDED');
  const request = refundOf(paymentId, orderNo);
  await Promise.all(Array.from({ length: 5 }, () => payments.requestRefund.execute(request)));
  await payments.until('refunded', () => payments.messagesOf(paymentId).includes('payment.refunded'));
  await payments.requestRefund.execute(request);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.refunded']);
  const refunds = await payments.database.refund.findMany({ where: { paymentId } });
  expect(refunds).toMatchObject([{ status: 'SUCCEEDED', reason: 'sold-out' }]);
  // The provider makes another refund for another key: each of the six has named the same one.
  const intentId = checkoutUrl.split('/').at(-1) ?? '';
  expect(await payments.database.providerRefund.findMany({ where: { intentId } })).toMatchObject([
    { key: refunds[0]?.id, amountMinor: 5_000n },
  ]);
  expect(await delivered(paymentId)).toHaveLength(2);
});

test('a reference is the key of an intent: the same one again, and refused for another amount', async () => {
  const intent = { reference: randomUUID(), amountMinor: 5_000, currency: 'EUR' };
  const open = (change: object = {}): Promise<Response> =>
    payments.asService('/api/provider/intents', { ...intent, ...change });
  const answers = await Promise.all(Array.from({ length: 5 }, () => open()));
  const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as Intent).intentId));
  expect(new Set(ids).size).toBe(1);
  for (const change of [{ amountMinor: 1 }, { currency: 'USD' }]) {
    const refused = await open(change);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  }
});

describe('a refund at the provider', () => {
  const refund = async (intentId: string, key: string, amountMinor?: number): Promise<number> => {
    const headers = { 'idempotency-key': key };
    return (await payments.asService('/api/provider/refunds', { intentId, amountMinor }, headers)).status;
  };
  const refundsOf = (intentId: string): Promise<number> =>
    payments.database.providerRefund.count({ where: { intentId } });

  test('is one under one key, however often it is asked for; another key is another refund', async () => {
    const { intentId } = await payments.captured();
    const key = randomUUID();
    const statuses = await Promise.all(Array.from({ length: 5 }, () => refund(intentId, key)));
    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(await refundsOf(intentId)).toBe(1);
    expect(await refund(intentId, randomUUID())).toBe(409);
    expect(await refund(intentId, key)).toBe(202);
  });

  test('under a key of something else is refused', async () => {
    const [one, other] = await Promise.all([payments.captured(), payments.captured()]);
    const key = randomUUID();
    expect(await refund(one.intentId, key, 1_000)).toBe(202);
    expect(await refund(one.intentId, key, 2_000)).toBe(400);
    expect(await refund(other.intentId, key, 1_000)).toBe(400);
    expect(await refund(other.intentId, '')).toBe(400);
  });

  test('in parts at the same moment is never more than was captured', async () => {
    const { intentId } = await payments.captured();
    const parts = Array.from({ length: 5 }, () => refund(intentId, randomUUID(), 2_000));
    expect((await Promise.all(parts)).sort()).toEqual([202, 202, 409, 409, 409]);
    expect(await refund(intentId, randomUUID())).toBe(202);
    expect(await refundsOf(intentId)).toBe(3);
    expect(await payments.database.providerIntent.findUnique({ where: { id: intentId } })).toMatchObject({
      status: 'REFUNDED',
      refundedMinor: 5_000n,
    });
  });
});

test('money that is not there (yet) is not sent back', async () => {
  const orderNo = payments.newOrderNo();
  const { paymentId } = await payments.created(orderNo);
  await expect(payments.requestRefund.execute(refundOf(paymentId, orderNo))).rejects.toMatchObject({
    kind: 'transient',
  });
  await expect(payments.requestRefund.execute(refundOf(randomUUID(), orderNo))).rejects.toMatchObject({
    kind: 'not-found',
  });
});

test('a rush of payments, each webhook sent twice: every one is announced once', async () => {
  const orders = Array.from({ length: 300 }, () => payments.newOrderNo());
  const all: string[] = [];
  const worker = async (): Promise<void> => {
    for (let orderNo = orders.pop(); orderNo !== undefined; orderNo = orders.pop()) {
      const { paymentId, checkoutUrl } = await payments.created(orderNo);
      await payments.post(checkoutUrl, { outcome: 'succeed', duplicates: 1 });
      all.push(paymentId);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  const waiting = (): Promise<number> =>
    payments.database.providerWebhook.count({ where: { deliveredAt: null } });
  await payments.until('all sent', async () => (await waiting()) === 0);
  for (const paymentId of all) expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
}, 120_000);

test('webhooks that were done with a month ago are forgotten, one that still waits is not', async () => {
  const { database, retention } = payments;
  const { paymentId, checkoutUrl } = await payments.created();
  await payments.post(checkoutUrl, { outcome: 'succeed' });
  await payments.until('paid', async () => (await payments.statusOf(paymentId)) === 'SUCCEEDED');
  const longAgo = new Date(Date.now() - 31 * 86_400_000);
  await database.webhookEvent.create({
    data: { eventId: randomUUID(), paymentId, type: 'old', receivedAt: longAgo },
  });
  const hook = { eventId: randomUUID(), body: '{"waits": true}', dueAt: new Date(Date.now() + 3_600_000) };
  await database.providerWebhook.create({ data: { ...hook, body: '{"old": true}', deliveredAt: longAgo } });
  await database.providerWebhook.create({ data: hook });
  expect(await retention.forgetOld()).toBe(2);
  expect(await database.providerWebhook.count({ where: { body: hook.body } })).toBe(1);
  expect(await database.webhookEvent.count({ where: { paymentId } })).toBe(1);
});
