import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PaymentWebhookHeaders } from '#libs/contracts';
import { CRASH_POINTS } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';
import { signWebhook } from '../domain/webhook-signature.js';
import { WriteRaceLost } from './payment-book.js';
import { PaymentUnderTest } from '../testing/payment-under-test.js';

let payments: PaymentUnderTest;
beforeAll(async () => {
  payments = await PaymentUnderTest.start();
}, 60_000);
afterAll(() => payments.stop());

describe('forged', () => {
  const now = (): number => Math.floor(Date.now() / 1000);
  const forgeries: [string, (body: string) => Record<string, string>][] = [
    ['without a signature', () => ({})],
    [
      'with a signature of another secret',
      (body) => ({
        [PaymentWebhookHeaders.timestamp]: String(now()),
        [PaymentWebhookHeaders.signature]: signWebhook('guessed', now(), body),
      }),
    ],
    [
      'with the signature of another body',
      () => ({
        [PaymentWebhookHeaders.timestamp]: String(now()),
        [PaymentWebhookHeaders.signature]: signWebhook(
          process.env['PAYMENT_WEBHOOK_SECRET'] ?? '',
          now(),
          '{}',
        ),
      }),
    ],
  ];
  test.each(forgeries)('%s: 401, and nothing happens', async (_name, headers) => {
    const { paymentId } = await payments.created();
    const body = JSON.stringify(payments.webhook('payment.succeeded', paymentId));
    const answer = await payments.post('/api/payments/webhook', body, headers(body));
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(await payments.statusOf(paymentId)).toBe('PENDING');
    expect(payments.messagesOf(paymentId)).toEqual([]);
  });

  test('a captured one, sent again six minutes later', async () => {
    const { paymentId } = await payments.created();
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId), 360)).toBe(401);
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId), -360)).toBe(401);
  });

  test('a genuine one about another amount has no effect', async () => {
    const { paymentId } = await payments.created();
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId, { amountMinor: 1 }))).toBe(
      400,
    );
    expect(await payments.statusOf(paymentId)).toBe('PENDING');
  });
});

test('replayed, one after the other and all at once: 204 each time, one effect', async () => {
  const { paymentId } = await payments.created();
  const webhook = payments.webhook('payment.succeeded', paymentId);
  const statuses = await Promise.all(Array.from({ length: 20 }, () => payments.deliver(webhook)));
  statuses.push(await payments.deliver(webhook));
  expect(new Set(statuses)).toEqual(new Set([204]));
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
  expect(await payments.database.webhookEvent.count({ where: { paymentId } })).toBe(1);
});

test('two events that say the same have one effect', async () => {
  const { paymentId } = await payments.created();
  await Promise.all(
    Array.from({ length: 5 }, () => payments.deliver(payments.webhook('payment.succeeded', paymentId))),
  );
  expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
});

describe('reordered', () => {
  test('a decline that comes after the capture changes nothing', async () => {
    const { paymentId } = await payments.created();
    const declined = payments.webhook('payment.failed', paymentId);
    expect(await payments.deliver(payments.webhook('payment.succeeded', paymentId))).toBe(204);
    expect(await payments.deliver(declined)).toBe(204);
    expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
    expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
  });

  test('money captured after a decline is not lost', async () => {
    const { paymentId } = await payments.created();
    await payments.deliver(payments.webhook('payment.failed', paymentId));
    await payments.deliver(payments.webhook('payment.succeeded', paymentId));
    expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
    expect(payments.messagesOf(paymentId)).toEqual(['payment.failed', 'payment.succeeded']);
  });

  test('both at once, 50 times: the money always ends captured, and is announced once', async () => {
    for (let run = 0; run < 50; run++) {
      const { paymentId } = await payments.created();
      const events = [
        payments.webhook('payment.failed', paymentId),
        payments.webhook('payment.succeeded', paymentId),
      ];
      await Promise.all([...events, ...events].map((event) => payments.deliver(event)));
      expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
      expect(payments.messagesOf(paymentId).filter((name) => name === 'payment.succeeded')).toHaveLength(1);
    }
  }, 60_000);
});

test('an unknown payment is a problem, so that the provider tries again', async () => {
  expect(
    await payments.deliver(payments.webhook('payment.succeeded', '11111111-1111-4111-8111-111111111111')),
  ).toBe(404);
});

test.each(CRASH_POINTS)('a crash %s: the next copy and the check-back complete it', async (point) => {
  const { paymentId } = await payments.created();
  const webhook = payments.webhook('payment.succeeded', paymentId);
  payments.bus.crashAt = point;
  expect(await payments.deliver(webhook)).toBe(500);
  expect(await payments.deliver(webhook)).toBe(204);
  await payments.askBack();
  expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
  const messages = payments.messagesOf(paymentId);
  // Announced once more than needed where both the copy and the check-back saw to it; its consumers take that.
  expect(messages.length).toBe(point === 'before the local write' ? 2 : 1);
  expect(new Set(messages)).toEqual(new Set(['payment.succeeded']));
});

test('a writer that was frozen until after the check-back can no longer write, and leaves no event', async () => {
  const { paymentId } = await payments.created();
  const webhook = payments.webhook('payment.succeeded', paymentId);
  const longAgo = new Date(Date.now() - 21_000).toISOString();
  const writing = payments.book.settlePayment(webhook, ['PENDING'], 'SUCCEEDED', longAgo);
  await expect(writing).rejects.toThrow(WriteRaceLost);
  expect(await payments.statusOf(paymentId)).toBe('PENDING');
  expect(await payments.deliver(webhook)).toBe(204);
  expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
});
