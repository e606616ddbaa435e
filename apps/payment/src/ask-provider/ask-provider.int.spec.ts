import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { RefundReason } from '#libs/contracts';
import { UnavailableError } from '#libs/messaging';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';
import { PaymentUnderTest } from '../testing/payment-under-test.js';
import { AskProvider } from './ask-provider.js';

let payments: PaymentUnderTest;
let ask: AskProvider;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
  ask = payments.get(AskProvider);
  // Runs by the clock would take what a test has prepared.
  await ask.onModuleDestroy();
}, 60_000);
afterAll(() => payments.stop());

/** As if the payment and its refund had been made so long ago, and never been asked for. */
const age = async (paymentId: string, minutes: number): Promise<void> => {
  for (const [table, key] of [
    ['payments', 'id'],
    ['refunds', 'payment_id'],
  ]) {
    await payments.database.$executeRawUnsafe(
      `UPDATE ${table} SET created_at = now() - $2::int * interval '1 minute' WHERE ${key} = $1::uuid`,
      paymentId,
      minutes,
    );
  }
};
/** The provider has moved the money, and its webhooks do not come. */
const unheard = async (outcome: 'succeed' | 'fail') => {
  const created = await payments.created();
  await payments.post(created.checkoutUrl, { outcome, delayMs: 86_400_000 });
  return { ...created, intentId: created.checkoutUrl.split('/').at(-1) ?? '' };
};

test('money whose webhook never comes is heard of by asking, and announced once', async () => {
  const { paymentId } = await unheard('succeed');
  expect(await ask.execute()).toBe(0);
  await age(paymentId, 6);
  expect(await ask.execute()).toBe(1);
  expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
  expect(await ask.execute()).toBe(0);
  expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId))).toBe(204);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
});

test('money that is heard of late is told with the time at which it was captured', async () => {
  const { paymentId } = await unheard('succeed');
  const [told] = await payments.database.$queryRawUnsafe<{ at: string }[]>(
    `SELECT body::json->>'occurredAt' AS at FROM provider_webhooks WHERE body::json->>'paymentId' = $1`,
    paymentId,
  );
  await age(paymentId, 6);
  await new Promise((resolve) => setTimeout(resolve, 2));
  expect(await ask.execute()).toBe(1);
  const message = payments.bus.visible.find(
    ({ payload }) => (payload as { paymentId?: string }).paymentId === paymentId,
  );
  expect(message?.payload).toMatchObject({ capturedAt: told?.at });
});

test('a decline is heard of, and a capture after it as well', async () => {
  const { paymentId, checkoutUrl } = await unheard('fail');
  await age(paymentId, 6);
  expect(await ask.execute()).toBe(1);
  expect(await payments.statusOf(paymentId)).toBe('FAILED');
  await payments.post(checkoutUrl, { outcome: 'succeed', delayMs: 86_400_000 });
  await payments.database.$executeRawUnsafe('UPDATE payments SET asked_at = NULL');
  expect(await ask.execute()).toBe(1);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.failed', 'payment.succeeded']);
});

/** Written down, as `RequestRefund` does before it asks the provider. */
const refundRequested = async (paymentId: string, reason: RefundReason): Promise<void> => {
  const { orderNo } = await payments.database.payment.findUniqueOrThrow({ where: { id: paymentId } });
  await payments.database.refund.create({
    data: {
      ...{ id: paymentId, paymentId, orderNo, amountMinor: 5_000, currency: 'EUR' },
      ...{ reason, status: 'REQUESTED', updatedAt: new Date() },
    },
  });
  await age(paymentId, 6);
};

// Of a second payment, or of one for an order that was rejected, no rule of the orders knows: their order stays as it is.
test.each(['sold-out', 'paid-twice', 'order-rejected'] as const)(
  'a refund (%s) whose webhook never comes is heard of',
  async (reason) => {
    const { paymentId, intentId } = await payments.captured();
    await refundRequested(paymentId, reason);
    // In the provider's book, and no webhook tells of it.
    await payments.database.$executeRawUnsafe(
      `UPDATE provider_intents SET status = 'REFUNDED', refunded_minor = amount_minor WHERE id = $1`,
      intentId,
    );
    expect(await ask.execute()).toBe(1);
    expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.refunded']);
  },
);

test.each(['paid-twice', 'order-rejected'] as const)(
  'a refund (%s) of which the provider knows nothing is asked for again, and done once',
  async (reason) => {
    const { paymentId, intentId } = await payments.captured();
    await refundRequested(paymentId, reason);
    expect(await ask.execute()).toBe(0);
    await payments.until('refunded', () => payments.messagesOf(paymentId).includes('payment.refunded'));
    await payments.database.$executeRawUnsafe('UPDATE payments SET asked_at = NULL');
    await ask.execute();
    expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.refunded']);
    expect(await payments.database.providerRefund.count({ where: { intentId } })).toBe(1);
  },
);

test('a checkout that nobody has used is asked for less and less often, by one process only', async () => {
  const { paymentId } = await payments.created();
  await age(paymentId, 6);
  const askedAt = async (): Promise<Date | null | undefined> =>
    (await payments.database.payment.findUnique({ where: { id: paymentId } }))?.askedAt;
  expect(await Promise.all([ask.execute(), ask.execute()])).toEqual([0, 0]);
  const first = await askedAt();
  expect(first).toBeInstanceOf(Date);
  await ask.execute();
  expect(await askedAt()).toEqual(first);
});

test('one that another process is taking at this moment is left to it', async () => {
  const { paymentId, checkoutUrl } = await payments.created();
  await age(paymentId, 6);
  const asks = jest.spyOn(payments.get<PaymentProvider>(PAYMENT_PROVIDER), 'intent');
  await payments.database.$transaction(async (tx) => {
    await tx.$executeRawUnsafe('UPDATE payments SET asked_at = now() WHERE id = $1::uuid', paymentId);
    expect(await ask.execute()).toBe(0);
  });
  expect(asks).not.toHaveBeenCalledWith(checkoutUrl.split('/').at(-1) ?? '');
  asks.mockRestore();
});

test('one of which the provider never tells does not keep the others from being asked for', async () => {
  const all = [await unheard('succeed'), await unheard('succeed'), await unheard('succeed')];
  for (const { paymentId } of all) await age(paymentId, 6);
  const provider = payments.get<PaymentProvider>(PAYMENT_PROVIDER);
  const intent = provider.intent.bind(provider);
  const asked: string[] = [];
  const asks = jest.spyOn(provider, 'intent').mockImplementation((intentId) => {
    asked.push(intentId);
    const isOdd = intentId === asked[0];
    return isOdd ? Promise.reject(new UnavailableError('AWAY', 'a 500')) : intent(intentId);
  });
  await expect(ask.execute()).rejects.toThrow('a 500');
  expect(asked).toHaveLength(1);
  expect(await ask.execute()).toBe(2);
  asks.mockRestore();
});

test('parts that made up the whole before the provider knew of it are heard of by asking', async () => {
  const { paymentId, intentId } = await payments.captured();
  const provider = payments.get<PaymentProvider>(PAYMENT_PROVIDER);
  const behind = jest
    .spyOn(provider, 'intent')
    .mockResolvedValue({ status: 'CAPTURED', amountMinor: 5_000, currency: 'EUR' });
  for (const amountMinor of [1_000, 4_000]) {
    await payments.asService('/api/provider/dashboard/refunds', { intentId, amountMinor });
  }
  await payments.until('recorded', async () => (await payments.anomaliesOf(paymentId)).length === 2);
  const laterAsked = async (): Promise<number> => {
    await payments.database.$executeRawUnsafe(
      `UPDATE webhook_anomalies SET received_at = now() - interval '6 minutes' WHERE payment_id = $1`,
      paymentId,
    );
    // The payments of the tests before this one have had their turn.
    await payments.database.$executeRawUnsafe(
      'UPDATE payments SET asked_at = CASE WHEN id = $1::uuid THEN NULL ELSE now() END',
      paymentId,
    );
    return ask.execute();
  };
  expect(await laterAsked()).toBe(0);
  expect(payments.messagesOf(paymentId)).not.toContain('payment.refunded');
  behind.mockRestore();
  expect(await laterAsked()).toBe(1);
  expect(payments.messagesOf(paymentId)).toContain('payment.refunded');
  expect(await laterAsked()).toBe(0);
});
