import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OrderSubmitted } from '#libs/contracts';
import { REPORT_AGAIN_AFTER_MS } from '#libs/service-kit';
import { OrderUnderTest, PAYMENT_TIMEOUT_MS, RECONCILE_AFTER_MS } from '../testing/order-under-test.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

/** Cases so far, by rule and outcome. */
const counted = (): Promise<Record<string, number>> => shop.reconciled();
const lostFor = (order: OrderSubmitted): string[] => shop.bus.namesOf(order.orderNo).slice(2);
const placed = async (): Promise<OrderSubmitted> => shop.placedOne(await shop.ticketType(1));

describe('an order past its time whose timer was lost', () => {
  test('is cancelled as the timer would have done, once, and its tickets go back by that', async () => {
    const order = await placed();
    const before = await counted();
    const due = Date.now() + PAYMENT_TIMEOUT_MS + RECONCILE_AFTER_MS;
    await shop.reconcileAt(due - 5_000);
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe('PENDING_PAYMENT');
    await shop.reconcileAt(due + 5_000);
    await shop.reconcileAt(due + 5_000);
    expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED']);
    expect(lostFor(order)).toEqual(['order.cancelled']);
    const after = await counted();
    expect(after['order-overdue repaired']).toBe((before['order-overdue repaired'] ?? 0) + 1);
  });

  test('and that was paid after all stays paid', async () => {
    const order = await placed();
    await shop.settlePayment.execute([shop.payment(order)]);
    await shop.reconcileAt(Date.now() + PAYMENT_TIMEOUT_MS + RECONCILE_AFTER_MS + 5_000);
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe('PAID');
  });
});

describe('an order on its way to a refund that nobody heard of', () => {
  const refunding = async (): Promise<{ order: OrderSubmitted; paymentId: string }> => {
    const order = await placed();
    await shop.cancelOrder.execute(order.orderNo, order.buyerId);
    const payment = shop.payment(order);
    await shop.settlePayment.execute([payment]);
    return { order, paymentId: payment.paymentId };
  };
  const requests = (order: OrderSubmitted): unknown[] =>
    shop.bus.visible
      .filter(
        ({ contract, payload }) =>
          contract.name === 'payment.refund-requested' &&
          (payload as { orderNo: string }).orderNo === order.orderNo,
      )
      .map(({ payload }) => payload);

  test('asks again by the same message, once; after an hour it is reported and not asked again', async () => {
    const { order } = await refunding();
    const [request] = requests(order);
    const again = { ...(request as object), unanswered: true };
    await shop.reconcileAt(Date.now() + RECONCILE_AFTER_MS - 5_000);
    expect(requests(order)).toEqual([request]);
    const late = Date.now() + RECONCILE_AFTER_MS + 5_000;
    await shop.reconcileAt(late);
    await shop.reconcileAt(late + 60_000);
    expect(requests(order)).toEqual([request, again]);
    const before = await counted();
    await shop.reconcileAt(late + REPORT_AGAIN_AFTER_MS + 5_000);
    expect(requests(order)).toEqual([request, again]);
    const after = await counted();
    expect(after['refund-unanswered unresolved']).toBe((before['refund-unanswered unresolved'] ?? 0) + 1);
  });

  test('and whose money is back by now is left alone', async () => {
    const { order, paymentId } = await refunding();
    await shop.changeOrders.one(order.orderNo, { type: 'payment-refunded', paymentId });
    await shop.reconcileAt(Date.now() + RECONCILE_AFTER_MS + 5_000);
    expect(requests(order)).toHaveLength(1);
  });
});

test('a healthy shop leaves nothing to reconcile, a day later', async () => {
  // What other specs left behind is found first.
  await shop.reconcileAt(Date.now() + 86_400_000);
  const before = await counted();
  for (const order of await shop.placed(await shop.ticketType(3), 3)) {
    await shop.settlePayment.execute([shop.payment(order)]);
  }
  await shop.expire(await placed());
  const cancelled = await placed();
  await shop.cancelOrder.execute(cancelled.orderNo, cancelled.buyerId);
  const payment = shop.payment(cancelled);
  await shop.settlePayment.execute([payment]);
  await shop.changeOrders.one(cancelled.orderNo, {
    type: 'payment-refunded',
    paymentId: payment.paymentId,
  });
  await shop.reconcileAt(Date.now() + 86_400_000);
  expect(await counted()).toEqual(before);
});

test('a round is bounded, and the next one goes on', async () => {
  const orders = await shop.placed(await shop.ticketType(250), 250);
  const late = Date.now() + PAYMENT_TIMEOUT_MS + RECONCILE_AFTER_MS + 5_000;
  const open = (): Promise<number> =>
    shop.database.order.count({
      where: { orderNo: { in: orders.map(({ orderNo }) => orderNo) }, status: 'PENDING_PAYMENT' },
    });
  await shop.reconcileAt(late);
  expect(await open()).toBeGreaterThanOrEqual(50);
  await shop.reconcileAt(late);
  expect(await open()).toBe(0);
});

test('a payment that is announced as unanswered is answered again, by the message that it missed', async () => {
  const order = await placed();
  const payment = shop.payment(order, randomUUID());
  await shop.settlePayment.execute([payment]);
  await shop.settlePayment.execute([payment]);
  expect(lostFor(order)).toEqual(['order.paid']);
  await shop.settlePayment.execute([{ ...payment, unanswered: true }]);
  const answers = shop.bus.visible.filter(
    ({ contract, payload }) =>
      contract.name === 'order.paid' && (payload as { orderNo: string }).orderNo === order.orderNo,
  );
  expect(answers).toHaveLength(2);
  expect(answers[1]?.payload).toEqual(answers[0]?.payload);
  // Another payment's answer is another one: it goes back.
  await shop.settlePayment.execute([{ ...shop.payment(order), unanswered: true }]);
  expect(lostFor(order)).toEqual(['order.paid', 'order.paid', 'payment.refund-requested']);
});
