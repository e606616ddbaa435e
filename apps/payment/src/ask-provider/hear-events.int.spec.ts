import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { PaymentWebhook } from '#libs/contracts';
import { WebhookDispatcher } from '../provider/webhooks/webhook-dispatcher.js';
import { PaymentUnderTest } from '../testing/payment-under-test.js';
import { AskProvider } from './ask-provider.js';

let payments: PaymentUnderTest;
let ask: AskProvider;
let captured: { paymentId: string; intentId: string }[];
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
  ask = payments.get(AskProvider);
  await ask.onModuleDestroy();
  captured = [];
  for (let n = 0; n < 10; n++) captured.push(await payments.captured());
  // From here on no webhook is sent.
  await payments.get(WebhookDispatcher).beforeApplicationShutdown();
}, 60_000);
afterAll(() => payments.stop());

const nextPayment = () => captured.pop() ?? { paymentId: '', intentId: '' };
beforeEach(() => payments.database.$executeRawUnsafe('DELETE FROM provider_webhooks'));

const inDashboard = async (what: 'refunds' | 'disputes', body: object): Promise<void> => {
  expect((await payments.asService(`/api/provider/dashboard/${what}`, body)).status).toBe(202);
};
/** All that the provider has told of so far, or of one payment, is so old. */
const age = (minutes: number, paymentId = '') =>
  payments.database.$executeRawUnsafe(
    `UPDATE provider_webhooks SET body = replace(body, body::json->>'occurredAt', $1)
     WHERE $2 IN ('', body::json->>'paymentId')`,
    new Date(Date.now() - minutes * 60_000).toISOString(),
    paymentId,
  );

test('a refund in the dashboard whose webhook is lost is heard of, once, when the webhook is overdue', async () => {
  const { paymentId, intentId } = nextPayment();
  await inDashboard('refunds', { intentId });
  expect(await ask.execute()).toBe(0);
  await age(6);
  expect(await ask.execute()).toBe(1);
  expect(payments.messagesOf(paymentId)).toContain('payment.refunded');
  expect(await payments.anomaliesOf(paymentId)).toEqual(['refund-by-provider']);
  expect(await ask.execute()).toBe(0);
});

test('so are a part of a payment and a dispute, which change no order', async () => {
  const { paymentId, intentId } = nextPayment();
  await inDashboard('refunds', { intentId, amountMinor: 1_000 });
  await inDashboard('disputes', { intentId });
  await age(6);
  expect(await ask.execute()).toBe(2);
  expect((await payments.anomaliesOf(paymentId)).sort()).toEqual(['dispute', 'partial-refund']);
  expect(payments.messagesOf(paymentId)).not.toContain('payment.refunded');
});

test('one whose webhook came, or is older than a week, is no news', async () => {
  const { paymentId, intentId } = nextPayment();
  await inDashboard('refunds', { intentId });
  const [told] = await payments.database.providerWebhook.findMany();
  expect(await payments.deliver(JSON.parse(told?.body ?? '{}') as PaymentWebhook)).toBe(204);
  await age(6);
  expect(await ask.execute()).toBe(0);
  expect(await payments.anomaliesOf(paymentId)).toEqual(['refund-by-provider']);

  const { intentId: another } = nextPayment();
  await inDashboard('refunds', { intentId: another });
  await age(8 * 24 * 60);
  expect(await ask.execute()).toBe(0);
});

test.each([
  ['was dated ahead by the provider', (first: string) => age(-30 * 24 * 60, first)],
  [
    'is about money that was never captured here',
    async (first: string) => {
      await payments.database.$executeRawUnsafe(
        `UPDATE payments SET status = 'PENDING' WHERE id = $1::uuid`,
        first,
      );
    },
  ],
])('an event that %s keeps nobody from hearing of the next', async (_what, spoil) => {
  const [first, next] = [nextPayment(), nextPayment()];
  await inDashboard('refunds', { intentId: first.intentId });
  await inDashboard('refunds', { intentId: next.intentId });
  await age(6);
  await spoil(first.paymentId);
  await ask.execute();
  expect(payments.messagesOf(next.paymentId)).toContain('payment.refunded');
});

test('an event that could not be taken is taken once it can be, though the list is read no more from there', async () => {
  const { paymentId, intentId } = nextPayment();
  const is = (status: string) =>
    payments.database.$executeRawUnsafe(
      `UPDATE payments SET status = '${status}' WHERE id = $1::uuid`,
      paymentId,
    );
  await inDashboard('refunds', { intentId });
  await age(6);
  await is('PENDING');
  expect(await ask.execute()).toBe(0);
  await is('SUCCEEDED');
  expect(await ask.execute()).toBe(1);
  expect(payments.messagesOf(paymentId)).toContain('payment.refunded');
});

test('events that nobody can read, a whole page of them, keep nobody from hearing of the next', async () => {
  const { paymentId, intentId } = nextPayment();
  await payments.database.$executeRawUnsafe(
    `INSERT INTO provider_webhooks (event_id, body, due_at)
     SELECT gen_random_uuid(), '{"type":"refund.succeeded","amountMinor":"many","occurredAt":"' || n || '"}', now()
     FROM generate_series(1, 100) AS n`,
  );
  await inDashboard('refunds', { intentId });
  await age(6, paymentId);
  await ask.execute();
  expect(payments.messagesOf(paymentId)).toContain('payment.refunded');
});
