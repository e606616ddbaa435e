import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { OrderPaid } from '#libs/contracts';
import type { Delivery } from '#libs/messaging';
import { Metrics, Reconciliation, systemClock } from '#libs/service-kit';
import { PaymentUnderTest } from '../testing/payment-under-test.js';
import { OrderPaidConsumer } from './order-paid.consumer.js';
import { paymentRules } from './payment-rules.js';

const AFTER_MS = 300_000;
let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

const captured = async (): Promise<string> => {
  const { paymentId } = await payments.created();
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  return paymentId;
};
const announced = (paymentId: string): unknown[] =>
  payments.bus.visible
    .map(({ payload }) => payload as { paymentId?: string })
    .filter((payload) => payload.paymentId === paymentId);
const answered = (paymentId: string): Promise<void> =>
  payments.get(OrderPaidConsumer).handle([{ payload: { paymentId } } as Delivery<OrderPaid>]);

/** One round of looking, at that time. */
async function reconcileIn(ms: number): Promise<void> {
  const { database } = payments;
  const clock = { now: () => systemClock.now() + ms };
  const rules = paymentRules({ database, bus: payments.bus.bus, clock, afterMs: AFTER_MS });
  for (const rule of rules) {
    const found = await rule.find(100);
    const lost = found.filter(({ wasRepaired }) => !wasRepaired);
    await rule.repair(lost);
    await rule.mark(lost.map(({ key }) => key));
  }
}

test('a captured payment without an answer is announced again, once, and says that it is', async () => {
  const paymentId = await captured();
  await reconcileIn(AFTER_MS - 5_000);
  expect(announced(paymentId)).toHaveLength(1);
  await reconcileIn(AFTER_MS + 5_000);
  await reconcileIn(AFTER_MS + 60_000);
  const [first, again, ...more] = announced(paymentId);
  const { succeededAt: _, ...facts } = first as { succeededAt: string; capturedAt: string };
  expect(again).toMatchObject({ ...facts, unanswered: true });
  expect(more).toEqual([]);
});

test.each([
  ['0000-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
  ['2026-11-26T10:00:00.123456Z', '2026-11-26T10:00:00.123Z'],
])(
  'a capture of %s is taken, and announced again as of that time or the nearest',
  async (occurredAt, capturedAt) => {
    const { paymentId } = await payments.created();
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId, { occurredAt }))).toBe(
      204,
    );
    await reconcileIn(AFTER_MS + 5_000);
    expect(announced(paymentId).at(-1)).toMatchObject({ capturedAt, unanswered: true });
  },
);

test('one whose order is paid, or that is being refunded, or that was never captured, is left alone', async () => {
  const [paid, refunded] = [await captured(), await captured()];
  const { paymentId: pending } = await payments.created();
  await answered(paid);
  const refund = { paymentId: refunded, orderNo: 'o', amountMinor: 5_000, currency: 'EUR' };
  await payments.requestRefund
    .execute({ ...refund, reason: 'sold-out', requestedAt: new Date().toISOString() })
    .catch(() => undefined);
  await reconcileIn(86_400_000);
  const again = [paid, refunded, pending].flatMap((id) =>
    announced(id).filter((payload) => (payload as { unanswered?: boolean }).unanswered),
  );
  expect(again).toEqual([]);
});

test('one that was there before payments were answered counts as answered, until it is captured', async () => {
  const { paymentId } = await payments.created();
  // As the migration leaves it.
  await payments.database.$executeRawUnsafe(
    'UPDATE payments SET answered_at = now() WHERE id = $1::uuid',
    paymentId,
  );
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  await reconcileIn(AFTER_MS + 5_000);
  expect(announced(paymentId)).toHaveLength(2);
});

test('the answer to a payment that is not ours, or comes twice, changes nothing', async () => {
  const paymentId = await captured();
  await answered('11111111-1111-4111-8111-111111111111');
  await answered(paymentId);
  await answered(paymentId);
  await reconcileIn(AFTER_MS + 5_000);
  expect(announced(paymentId)).toHaveLength(1);
});

test('who asks for a refund that is done, and says that nobody has answered, is told again; who just repeats is not', async () => {
  const orderNo = payments.newOrderNo();
  const { paymentId, checkoutUrl } = await payments.created(orderNo);
  await payments.post(checkoutUrl, { outcome: 'succeed' });
  await payments.until('paid', async () => (await payments.statusOf(paymentId)) === 'SUCCEEDED');
  const request = {
    ...{ paymentId, orderNo, amountMinor: 5_000, currency: 'EUR', reason: 'sold-out' as const },
    requestedAt: new Date().toISOString(),
  };
  await payments.requestRefund.execute({ ...request, unanswered: true });
  await payments.until('refunded', () => payments.messagesOf(paymentId).includes('payment.refunded'));
  await payments.requestRefund.execute(request);
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded', 'payment.refunded']);
  await payments.requestRefund.execute({ ...request, unanswered: true });
  const [, first, again] = announced(paymentId) as { refundedAt: string }[];
  const { refundedAt: _, ...facts } = first ?? { refundedAt: '' };
  expect(again).toMatchObject(facts);
});

test('the service runs the rules by its clock and counts them', async () => {
  await payments.get(Reconciliation).execute();
  const text = await payments.get(Metrics).registry.metrics();
  expect(text).toMatch(/reconciliation_cases_total\{rule="payment-unanswered",outcome="repaired".*\} 0/);
});
