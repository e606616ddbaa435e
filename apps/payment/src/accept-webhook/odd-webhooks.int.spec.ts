/** What providers send beside what we asked for. All of it is genuine. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { PaymentRefunded, PaymentWebhook } from '#libs/contracts';
import { PaymentUnderTest } from '../testing/payment-under-test.js';

let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

async function counted(kind: string): Promise<number> {
  const metrics = await (await fetch(`${payments.url}/metrics`)).text();
  const line = metrics.split('\n').find((each) => each.includes(`kind="${kind}"`)) ?? '';
  return Number(line.split(' ').at(-1));
}
const old = { occurredAt: new Date(Date.now() - 601_000).toISOString() };
const inDashboard = async (what: 'refunds' | 'disputes', body: object): Promise<void> => {
  const answer = await payments.asService(`/api/provider/dashboard/${what}`, body);
  expect(answer.status).toBe(202);
};
const recorded = (paymentId: string, kind: string): Promise<void> =>
  payments.until(kind, async () => (await payments.anomaliesOf(paymentId)).includes(kind));

test('a type that we do not know is taken without effect, counted once, and not sent again', async () => {
  const before = await counted('unknown-type');
  const { paymentId } = await payments.created();
  const sent = { type: 'payout.created', paymentId, nested: {} };
  expect((await payments.asService('/api/provider/dashboard/events', sent)).status).toBe(202);
  await recorded(paymentId, 'unknown-type');
  await payments.until('answered', async () => {
    const [hook] = await payments.database.providerWebhook.findMany({
      where: { body: { contains: paymentId } },
    });
    return hook?.attempts === 1 && hook.deliveredAt !== null;
  });
  expect(await counted('unknown-type')).toBe(before + 1);
  expect(await payments.statusOf(paymentId)).toBe('PENDING');
  expect(payments.messagesOf(paymentId)).toEqual([]);
});

test('a type that we do not know leaves little behind, and not for long', async () => {
  const long = { ...payments.webhook('payment.succeeded', randomUUID()), ...old, note: 'x'.repeat(10_000) };
  const unknown = { ...long, eventId: randomUUID(), type: 'charge.updated' as PaymentWebhook['type'] };
  const foreign = { ...long, eventId: randomUUID(), paymentId: 'of another shop' };
  for (const webhook of [unknown, foreign]) expect(await payments.deliver(webhook)).toBe(204);
  const of = (eventId: string) => payments.database.webhookAnomaly.findUnique({ where: { eventId } });
  expect((await of(unknown.eventId))?.body).toHaveLength(500);
  expect((await of(foreign.eventId))?.body).toHaveLength(4_096);

  await payments.database.webhookAnomaly.updateMany({
    where: { eventId: { in: [unknown.eventId, foreign.eventId] } },
    data: { receivedAt: new Date(Date.now() - 31 * 86_400_000) },
  });
  await payments.retention.forgetOld();
  expect(await of(unknown.eventId)).toBeNull();
  expect(await of(foreign.eventId)).toMatchObject({ kind: 'foreign-payment' });
});

describe('text that no store takes', () => {
  const strange = 'a\0b \ud83d';

  test('in a field that we do not read changes nothing: the money is taken', async () => {
    const { paymentId } = await payments.created();
    const webhook = { ...payments.webhook('payment.succeeded', paymentId), buyer: { name: strange } };
    expect(await payments.deliver(webhook)).toBe(204);
    expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
  });

  test('in a name is recorded, with what stands for it', async () => {
    const webhook = payments.webhook('payment.succeeded', `donation ${strange}`);
    expect(await payments.deliver(webhook)).toBe(204);
    const eventId = webhook.eventId;
    expect(await payments.database.webhookAnomaly.findUnique({ where: { eventId } })).toMatchObject({
      kind: 'foreign-payment',
      paymentId: 'donation a\uFFFDb \uFFFD',
    });
  });
});

test.each([
  ['amount', { amountMinor: 1 }],
  ['currency', { currency: 'HUF' }],
])('money of another %s gives nobody a ticket, and somebody hears of it once', async (_, change) => {
  const before = await counted('amount-differs');
  const { paymentId } = await payments.created();
  const webhook = payments.webhook('payment.succeeded', paymentId, change);
  expect([await payments.deliver(webhook), await payments.deliver(webhook)]).toEqual([204, 204]);
  expect(await payments.statusOf(paymentId)).toBe('PENDING');
  expect(payments.messagesOf(paymentId)).toEqual(['payment.anomaly']);
  expect(await payments.anomaliesOf(paymentId)).toEqual(['amount-differs']);
  expect(await counted('amount-differs')).toBe(before + 1);
});

test('money of another amount that is sent back is taken: no repeat can mend that its capture was not', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  const capture = payments.webhook('payment.succeeded', paymentId, { amountMinor: 1_000 });
  expect(await payments.deliver(capture)).toBe(204);
  await payments.database.$executeRawUnsafe(
    `UPDATE provider_intents SET status = 'REFUNDED', amount_minor = 1000, refunded_minor = 1000 WHERE id = $1`,
    checkoutUrl.split('/').at(-1),
  );
  const refund = payments.webhook('refund.succeeded', paymentId, { amountMinor: 1_000 });
  expect(await payments.deliver(refund)).toBe(204);
  expect((await payments.anomaliesOf(paymentId)).sort()).toEqual(['amount-differs', 'partial-refund']);
});

describe('a payment that we do not know', () => {
  test('may be about to be written: it is asked for again', async () => {
    const paymentId = randomUUID();
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId))).toBe(404);
    expect(await payments.anomaliesOf(paymentId)).toEqual([]);
  });

  test('and is not written ten minutes later was made by somebody else', async () => {
    const paymentId = randomUUID();
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId, old))).toBe(204);
    expect(await payments.anomaliesOf(paymentId)).toEqual(['foreign-payment']);
  });

  test('by its very name is taken at once', async () => {
    const webhook = payments.webhook('payment.succeeded', 'donation-17');
    expect(await payments.deliver(webhook)).toBe(204);
    expect(await payments.anomaliesOf('donation-17')).toEqual(['foreign-payment']);
  });
});

describe('an anomaly and the message that tells of it', () => {
  const odd = () => payments.webhook('dispute.opened', randomUUID(), old);

  test('are one: the sender dies after the write, and the check-back tells', async () => {
    const webhook = odd();
    payments.bus.crashAt = 'before the commit';
    expect(await payments.deliver(webhook)).toBe(500);
    await payments.askBack();
    expect(payments.messagesOf(webhook.paymentId)).toEqual(['payment.anomaly']);
    expect(await payments.deliver(webhook)).toBe(204);
    expect(payments.messagesOf(webhook.paymentId)).toEqual(['payment.anomaly']);
  });

  test('are one: the sender dies before the write, and only what the provider sends again is told', async () => {
    const webhook = odd();
    payments.bus.crashAt = 'before the local write';
    expect(await payments.deliver(webhook)).toBe(500);
    expect(await payments.anomaliesOf(webhook.paymentId)).toEqual([]);
    expect(await payments.deliver(webhook)).toBe(204);
    expect(await payments.askBack()).toEqual(['unknown']);
    payments.bus.forget();
    expect(payments.messagesOf(webhook.paymentId)).toEqual(['payment.anomaly']);
  });

  test('are told once of copies that come at the same moment', async () => {
    const webhook = odd();
    const answers = await Promise.all([1, 2, 3, 4].map(() => payments.deliver(webhook)));
    expect(answers).toEqual([204, 204, 204, 204]);
    expect(payments.messagesOf(webhook.paymentId)).toEqual(['payment.anomaly']);
  });
});

test('one of a known type that cannot be read is kept as it came', async () => {
  const { paymentId } = await payments.created();
  const webhook = { ...payments.webhook('payment.succeeded', paymentId), amountMinor: '50.00' };
  expect(await payments.deliver(webhook as unknown as PaymentWebhook)).toBe(204);
  const [row] = await payments.database.webhookAnomaly.findMany({ where: { paymentId } });
  expect(row).toMatchObject({ kind: 'unreadable', eventId: webhook.eventId, body: JSON.stringify(webhook) });
});

describe('in the dashboard', () => {
  test('all of a payment is sent back: the order hears of it once, and so does an operator', async () => {
    const { paymentId, intentId } = await payments.captured();
    await inDashboard('refunds', { intentId });
    await payments.until('told', () => payments.messagesOf(paymentId).includes('payment.refunded'));
    await recorded(paymentId, 'refund-by-provider');
    const again = payments.webhook('refund.succeeded', paymentId);
    expect(await payments.deliver(again)).toBe(204);
    expect(payments.messagesOf(paymentId)).toEqual([
      'payment.succeeded',
      'payment.anomaly',
      'payment.refunded',
    ]);
    const told = payments.bus.visible.find(
      ({ contract, payload }) =>
        contract.name === 'payment.refunded' && (payload as PaymentRefunded).paymentId === paymentId,
    );
    expect(told?.payload).toMatchObject({ reason: 'by-provider', amountMinor: 5_000 });
    expect(await payments.database.refund.findUnique({ where: { paymentId } })).toMatchObject({
      status: 'SUCCEEDED',
      reason: 'by-provider',
    });
  });

  test('a part is sent back: recorded, and the tickets stay', async () => {
    const { paymentId, intentId } = await payments.captured();
    await inDashboard('refunds', { intentId, amountMinor: 1_000 });
    await recorded(paymentId, 'partial-refund');
    expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.anomaly']);
    expect(await payments.database.refund.count({ where: { paymentId } })).toBe(0);
  });

  test('parts that make up the whole are a refund: the order hears of it once, whatever order they are told in', async () => {
    const { paymentId, intentId } = await payments.captured();
    await inDashboard('refunds', { intentId, amountMinor: 1_000 });
    await recorded(paymentId, 'partial-refund');
    await inDashboard('refunds', { intentId, amountMinor: 1_500 });
    await inDashboard('refunds', { intentId });
    await payments.until('told', () => payments.messagesOf(paymentId).includes('payment.refunded'));
    await recorded(paymentId, 'refund-by-provider');
    const again = payments.webhook('refund.succeeded', paymentId, { amountMinor: 1_500 });
    expect(await payments.deliver(again)).toBe(204);
    const told = payments.messagesOf(paymentId).filter((name) => name === 'payment.refunded');
    expect(told).toHaveLength(1);
    expect(await payments.database.refund.findUnique({ where: { paymentId } })).toMatchObject({
      status: 'SUCCEEDED',
      reason: 'by-provider',
      amountMinor: 5_000n,
    });
  });

  test('a part is sent back, and we ask for the rest: that is all of what we asked for', async () => {
    const orderNo = payments.newOrderNo();
    const { paymentId, intentId } = await payments.captured(orderNo);
    await inDashboard('refunds', { intentId, amountMinor: 1_000 });
    await recorded(paymentId, 'partial-refund');
    await payments.requestRefund.execute({
      ...{ paymentId, orderNo, amountMinor: 5_000, currency: 'EUR', reason: 'sold-out' },
      requestedAt: new Date().toISOString(),
    });
    await payments.until('told', () => payments.messagesOf(paymentId).includes('payment.refunded'));
  });

  test('a bank disputes the payment: recorded, and nothing else', async () => {
    const { paymentId, intentId } = await payments.captured();
    await inDashboard('disputes', { intentId });
    await recorded(paymentId, 'dispute');
    expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.anomaly']);
  });
});

test('a refund that overtakes the capture waits for it', async () => {
  const { paymentId } = await payments.created();
  const refund = payments.webhook('refund.succeeded', paymentId);
  expect(await payments.deliver(refund)).toBe(503);
  expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId))).toBe(204);
  expect(await payments.deliver(refund)).toBe(204);
  expect(payments.messagesOf(paymentId)).toEqual([
    'payment.succeeded',
    'payment.anomaly',
    'payment.refunded',
  ]);
});
