/** Two processes take webhooks of one payment at the same moment; and one that comes again, or late. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WriteRaceLost } from '#libs/messaging';
import { PaymentUnderTest } from '../testing/payment-under-test.js';

let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

const now = (): string => new Date().toISOString();

/** What another process writes while ours is about to; its own message is not played here. */
function meanwhile(write: () => Promise<void>): void {
  payments.bus.beforeLocal = () => {
    payments.bus.beforeLocal = undefined;
    return write();
  };
}

/** A captured payment whose money we have asked back, and the provider has not sent yet. */
async function refundAskedFor(): Promise<string> {
  const { paymentId } = await payments.created();
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  const [payment] = await payments.book.find([payments.webhook('refund.succeeded', paymentId)]);
  if (payment === undefined) throw new Error('a payment was made');
  await payments.book.adoptRefund(payment);
  return paymentId;
}

describe('another process was faster', () => {
  test.each(['the same event', 'another event'])(
    'with %s of a decline: taken, and not told again',
    async (which) => {
      const { paymentId } = await payments.created();
      const webhook = payments.webhook('payment.failed', paymentId);
      const theirs = which === 'the same event' ? webhook : payments.webhook('payment.failed', paymentId);
      meanwhile(() => payments.book.settlePayments([theirs], ['PENDING'], 'FAILED', now()));
      expect(await payments.deliver(webhook)).toBe(204);
      expect(payments.messagesOf(paymentId)).toEqual([]);
    },
  );

  test.each(['the same event', 'another event'])(
    'with %s of a refund: taken, and not told again',
    async (which) => {
      const paymentId = await refundAskedFor();
      const webhook = payments.webhook('refund.succeeded', paymentId);
      const theirs = which === 'the same event' ? webhook : payments.webhook('refund.succeeded', paymentId);
      meanwhile(() => payments.book.settleRefund(theirs, now()));
      expect(await payments.deliver(webhook)).toBe(204);
      expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
    },
  );

  test('with an event of the batch: none of the batch is written twice, and none of it half', async () => {
    const [one, other] = [await payments.created(), await payments.created()];
    const webhooks = [one, other].map(({ paymentId }) => payments.webhook('payment.succeeded', paymentId));
    await payments.book.remember(webhooks[0]!);
    const writing = payments.book.settlePayments(webhooks, ['PENDING'], 'SUCCEEDED', now());
    await expect(writing).rejects.toThrow(WriteRaceLost);
    expect(await payments.statusOf(one.paymentId)).toBe('PENDING');
    expect(await payments.statusOf(other.paymentId)).toBe('PENDING');
  });
});

test('an event that was taken has no effect again, whatever has become of its payment since', async () => {
  const { paymentId } = await payments.created();
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  const part = payments.webhook('refund.succeeded', paymentId, { amountMinor: 1_000 });
  expect(await payments.deliver(part)).toBe(204);
  const told = payments.messagesOf(paymentId);
  expect(told).toEqual(['payment.succeeded', 'payment.anomaly']);
  // The rest goes back as well; the event of that is on its way.
  await payments.database.providerIntent.updateMany({
    where: { reference: paymentId },
    data: { status: 'REFUNDED', refundedMinor: 5_000n },
  });
  expect(await payments.deliver(part)).toBe(204);
  expect(payments.messagesOf(paymentId)).toEqual(told);
});

describe('one that comes a day late is told with the time of its acceptance, by which the check-back goes', () => {
  const yesterday = { occurredAt: new Date(Date.now() - 86_400_000).toISOString() };
  /** How long ago, by its message, the last news of this payment was taken. */
  function ageMsOf(paymentId: string): number {
    const { payload } = payments.bus.visible.findLast(
      (message) => (message.payload as { paymentId?: string }).paymentId === paymentId,
    ) ?? { payload: {} };
    const { succeededAt, failedAt, refundedAt } = payload as Record<string, string | undefined>;
    return Date.now() - Date.parse(refundedAt ?? failedAt ?? succeededAt ?? '');
  }

  test('a decline', async () => {
    const { paymentId } = await payments.created();
    await payments.deliver(payments.webhook('payment.failed', paymentId, yesterday));
    expect(ageMsOf(paymentId)).toBeLessThan(10_000);
  });

  test('a refund', async () => {
    const paymentId = await refundAskedFor();
    await payments.deliver(payments.webhook('refund.succeeded', paymentId, yesterday));
    expect(payments.messagesOf(paymentId)).toContain('payment.refunded');
    expect(ageMsOf(paymentId)).toBeLessThan(10_000);
  });

  test('a capture', async () => {
    const { paymentId } = await payments.created();
    await payments.deliver(payments.webhook('payment.succeeded', paymentId, yesterday));
    expect(ageMsOf(paymentId)).toBeLessThan(10_000);
  });
});
