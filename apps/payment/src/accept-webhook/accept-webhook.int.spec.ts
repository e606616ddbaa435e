import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PaymentWebhookHeaders, type PaymentSucceeded, type PaymentWebhook } from '#libs/contracts';
import { WRITE_DEADLINE_MS, WriteRaceLost, type DomainError } from '#libs/messaging';
import { CRASH_POINTS } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';
import { isCommitted } from '../../../../libs/service-kit/src/testing/index.js';
import { signWebhook } from '../domain/webhook-signature.js';
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
});

test('a capture that is told late says when it was, and when it was heard of', async () => {
  const occurredAt = new Date(Date.now() - 86_400_000).toISOString();
  const { paymentId } = await payments.created();
  await payments.acceptWebhook.execute(payments.webhook('payment.succeeded', paymentId, { occurredAt }));
  const [told] = payments.bus.visible
    .map(({ payload }) => payload as { paymentId: string; succeededAt: string })
    .filter((payload) => payload.paymentId === paymentId);
  expect(told).toMatchObject({ capturedAt: occurredAt });
  expect(told?.succeededAt).not.toBe(occurredAt);
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
  const writing = payments.book.settlePayments([webhook], ['PENDING'], 'SUCCEEDED', longAgo);
  await expect(writing).rejects.toThrow(WriteRaceLost);
  expect(await payments.statusOf(paymentId)).toBe('PENDING');
  expect(await payments.deliver(webhook)).toBe(204);
  expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
});

test.each([
  ['payment.succeeded', 'SUCCEEDED'],
  ['payment.failed', 'FAILED'],
] as const)(
  'the answer to the commit of %s is lost: 503, taken when it is sent again, announced once',
  async (type, status) => {
    const { paymentId } = await payments.created();
    const webhook = payments.webhook(type, paymentId);
    const lost = payments.link.swallowAnswersAfter('INSERT INTO webhook_events', { isComplete: isCommitted });
    expect(await payments.deliver(webhook)).toBe(503);
    await lost;
    expect(await payments.statusOf(paymentId)).toBe(status);
    expect(payments.messagesOf(paymentId)).toEqual([]);
    expect(await payments.deliver(webhook)).toBe(204);
    expect(await payments.askBack()).toEqual(['commit']);
    expect(payments.messagesOf(paymentId)).toEqual([type]);
  },
);

test('a refund that was asked for is not one that was made: its half message is not committed', async () => {
  const { paymentId } = await payments.created();
  await payments.deliver(payments.webhook('payment.succeeded', paymentId));
  const { orderNo } = await payments.database.payment.findUniqueOrThrow({ where: { id: paymentId } });
  const refund = { paymentId, orderNo, amountMinor: 5_000n, currency: 'EUR', reason: 'sold-out' };
  await payments.database.refund.create({ data: { id: randomUUID(), ...refund, status: 'REQUESTED' } });
  const payload = { ...refund, amountMinor: 5_000, refundedAt: new Date().toISOString() };
  const half = [{ contract: 'payment.refunded', payload }];
  expect(await payments.checkBack.check('', half)).toBe('unknown');
  await payments.database.refund.update({ where: { paymentId }, data: { status: 'SUCCEEDED' } });
  expect(await payments.checkBack.check('', half)).toBe('commit');
});

test('a webhook whose statement waited for the table until its deadline had passed writes nothing', async () => {
  const { paymentId } = await payments.created();
  const at = new Date(Date.now() - WRITE_DEADLINE_MS + 300).toISOString();
  const webhook = payments.webhook('payment.succeeded', paymentId);
  let writing: Promise<unknown> | undefined;
  await payments.database.$transaction(async (tx) => {
    await tx.$executeRawUnsafe('LOCK TABLE payments IN SHARE MODE');
    writing = payments.book
      .settlePayments([webhook], ['PENDING'], 'SUCCEEDED', at)
      .catch((error: unknown) => error);
    await payments.until('the deadline', () => Date.now() > Date.parse(at) + WRITE_DEADLINE_MS);
  });
  expect(await writing).toBeInstanceOf(WriteRaceLost);
  expect(await payments.statusOf(paymentId)).toBe('PENDING');
  expect(await payments.database.webhookEvent.count({ where: { paymentId } })).toBe(0);
});

describe('captures that arrive together', () => {
  type Capture = { paymentId: string; webhook: PaymentWebhook };
  const capturesOf = (count: number): Promise<Capture[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const { paymentId } = await payments.created();
        return { paymentId, webhook: payments.webhook('payment.succeeded', paymentId) };
      }),
    );
  /** All in one batch, because the one before them is still under way when they come. `meanwhile` runs before it ends. */
  async function together(
    webhooks: readonly PaymentWebhook[],
    meanwhile: () => void = () => undefined,
  ): Promise<PromiseSettledResult<void>[]> {
    const ahead = await capturesOf(1);
    let isUnderWay = false;
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    payments.bus.beforeLocal = () => {
      payments.bus.beforeLocal = undefined;
      isUnderWay = true;
      return ended;
    };
    const arrived = [...ahead.map(({ webhook }) => webhook), ...webhooks];
    const accepted = Promise.allSettled(arrived.map((webhook) => payments.acceptWebhook.execute(webhook)));
    await payments.until('the first is under way', () => isUnderWay);
    meanwhile();
    end();
    return (await accepted).slice(1);
  }

  const verdictOf = (outcome: PromiseSettledResult<void>): string =>
    outcome.status === 'fulfilled' ? 'taken' : (outcome.reason as DomainError).code;

  test('share one transaction, and each is announced once', async () => {
    const captures = await capturesOf(20);
    const before = payments.bus.transactionsBegun;
    await together(captures.map(({ webhook }) => webhook));
    expect(payments.bus.transactionsBegun - before).toBe(2);
    for (const { paymentId } of captures) {
      expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
      expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
    }
  });

  test('do not suffer from those among them that are wrong, late or repeated', async () => {
    const [good, paid, twice] = await capturesOf(3);
    if (!good || !paid || !twice) throw new Error('three were made');
    await payments.acceptWebhook.execute(paid.webhook);
    const again = payments.webhook('payment.succeeded', twice.paymentId);
    const wrongAmount = payments.webhook('payment.succeeded', good.paymentId, { amountMinor: 1 });
    const unknown = payments.webhook('payment.succeeded', '11111111-1111-4111-8111-111111111111');
    const all = [good, paid, twice].map(({ webhook }) => webhook);
    const before = payments.bus.transactionsBegun;
    const outcomes = await together([unknown, wrongAmount, ...all, twice.webhook, again]);
    // The one ahead, the two good ones together, and the anomaly.
    expect(payments.bus.transactionsBegun - before).toBe(3);
    expect(outcomes.map(verdictOf)).toEqual([
      'PAYMENT_NOT_FOUND',
      ...['taken', 'taken', 'taken', 'taken', 'taken', 'taken'],
    ]);
    for (const { paymentId } of [paid, twice]) {
      expect(payments.messagesOf(paymentId)).toEqual(['payment.succeeded']);
    }
    expect(payments.messagesOf(good.paymentId).sort()).toEqual(['payment.anomaly', 'payment.succeeded']);
    expect(await payments.anomaliesOf(good.paymentId)).toEqual(['amount-differs']);
  });

  test('when another process writes one of them meanwhile, none is lost and none is doubled', async () => {
    const captures = await capturesOf(5);
    const [raced] = captures;
    const at = new Date().toISOString();
    const writeOne = async (): Promise<void> => {
      payments.bus.beforeLocal = undefined;
      if (raced) await payments.book.settlePayments([raced.webhook], ['PENDING'], 'SUCCEEDED', at);
    };
    const occurredAt = new Date(Date.now() - 86_400_000).toISOString();
    const late = captures.map(({ webhook }) => ({ ...webhook, occurredAt }));
    const told = payments.bus.visible.length;
    const outcomes = await together(late, () => (payments.bus.beforeLocal = writeOne));
    expect(outcomes.map(({ status }) => status)).toEqual(captures.map(() => 'fulfilled'));
    // Each with the time of its acceptance, by which the check-back goes.
    for (const { payload } of payments.bus.visible.slice(told)) {
      expect((payload as PaymentSucceeded).succeededAt >= at).toBe(true);
    }
    for (const { paymentId } of captures) {
      expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
      // The other process, which is only played here, announces its own.
      expect(payments.messagesOf(paymentId)).toEqual(
        paymentId === raced?.paymentId ? [] : ['payment.succeeded'],
      );
    }
  });

  test.each(CRASH_POINTS)(
    'a crash %s: their copies and the check-back complete all of them',
    async (point) => {
      const captures = await capturesOf(8);
      const webhooks = captures.map(({ webhook }) => webhook);
      const outcomes = await together(webhooks, () => (payments.bus.crashNext = point));
      expect(outcomes.map(({ status }) => status)).toEqual(captures.map(() => 'rejected'));
      const isWritten = point === 'before the commit' || point === 'after the commit';
      for (const { paymentId } of captures) {
        expect(await payments.statusOf(paymentId)).toBe(isWritten ? 'SUCCEEDED' : 'PENDING');
      }
      expect(payments.bus.undecided).toBe(
        point === 'before the local write' || point === 'before the commit' ? 1 : 0,
      );
      // The check-back first: it must not commit what was not written.
      expect(await payments.askBack()).toEqual(
        { 'before the local write': ['unknown'], 'before the commit': ['commit'] }[point as string] ?? [],
      );
      await Promise.all(webhooks.map((webhook) => payments.acceptWebhook.execute(webhook)));
      await payments.askBack();
      for (const { paymentId } of captures) {
        expect(await payments.statusOf(paymentId)).toBe('SUCCEEDED');
        // Announced once more than needed where both a copy and the check-back saw to it; its consumers take that.
        const messages = payments.messagesOf(paymentId);
        expect(messages).toHaveLength(point === 'before the local write' ? 2 : 1);
        expect(new Set(messages)).toEqual(new Set(['payment.succeeded']));
      }
    },
  );

  test('a batch that was not written is rolled back by the check-back, though one of it was captured since', async () => {
    const captures = await capturesOf(3);
    const webhooks = captures.map(({ webhook }) => webhook);
    await together(webhooks, () => (payments.bus.crashNext = 'before the local write'));
    if (captures[0]) await payments.acceptWebhook.execute(captures[0].webhook);
    const payload = (paymentId: string) => ({
      ...{ paymentId, orderNo: payments.newOrderNo(), amountMinor: 5_000, currency: 'EUR' },
      succeededAt: new Date(Date.now() - 31_000).toISOString(),
    });
    const half = captures.map(({ paymentId }) => ({
      contract: 'payment.succeeded',
      payload: payload(paymentId),
    }));
    expect(await payments.checkBack.check('', half)).toBe('rollback');
    expect(await payments.checkBack.check('', half.slice(0, 1))).toBe('commit');
  });
});
