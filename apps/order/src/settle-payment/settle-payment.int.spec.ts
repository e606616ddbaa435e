import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { paymentTimeoutTimerId } from '#libs/contracts';
import { CRASH_POINTS, Crash } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';
import { OrderUnderTest } from '../testing/order-under-test.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());
afterEach(() => {
  shop.clock.aheadMs = 0;
});

const messagesAfterCreation = (orderNo: string): string[] => shop.bus.namesOf(orderNo).slice(2);
const refund = (paymentId: string): unknown =>
  shop.bus.visible.find(
    ({ contract, payload }) =>
      contract.name === 'payment.refund-requested' &&
      (payload as { paymentId: string }).paymentId === paymentId,
  )?.payload;

test('a payment pays its order and takes the timer back', async () => {
  const order = await shop.placedOne(await shop.ticketType(1));
  await shop.settlePayment.execute([shop.payment(order)]);
  expect(await shop.statuses(order.orderNo)).toEqual(['QUEUED', 'PENDING_PAYMENT', 'PAID']);
  expect(messagesAfterCreation(order.orderNo)).toEqual(['order.paid']);
  expect(shop.bus.recalled).toContain(paymentTimeoutTimerId(order.orderNo));
});

test('a batch of payments with duplicates in it pays every order once', async () => {
  const orders = await shop.placed(await shop.ticketType(50), 50);
  const payments = orders.map((order) => shop.payment(order));
  await shop.settlePayment.execute([...payments, ...payments]);
  await Promise.all(Array.from({ length: 5 }, () => shop.settlePayment.execute(payments)));
  for (const { orderNo } of orders) expect(messagesAfterCreation(orderNo)).toEqual(['order.paid']);
});

test('a payment and a timeout raced 200 times: one of them wins, never both', async () => {
  const orders = await shop.placed(await shop.ticketType(200), 200);
  const winners = new Map<string, number>();
  for (const [index, order] of orders.entries()) {
    const payment = shop.payment(order);
    const pay = (): Promise<unknown> =>
      shop.changeOrders.one(order.orderNo, { type: 'payment-succeeded', paymentId: payment.paymentId });
    const expire = (): Promise<void> => shop.expire(order);
    await Promise.all(index % 2 === 0 ? [pay(), expire()] : [expire(), pay()]);
    const statuses = await shop.statuses(order.orderNo);
    const winner = statuses.at(-1) ?? '';
    expect(statuses).toEqual(['QUEUED', 'PENDING_PAYMENT', winner]);
    expect(messagesAfterCreation(order.orderNo)).toEqual([
      winner === 'PAID' ? 'order.paid' : 'order.cancelled',
    ]);
    winners.set(winner, (winners.get(winner) ?? 0) + 1);
  }
  expect([...winners.keys()].every((status) => status === 'PAID' || status === 'CANCELLED')).toBe(true);
}, 60_000);

test('payments and timeouts of the same 200 orders, in batches at once: every order ends one way', async () => {
  const orders = await shop.placed(await shop.ticketType(200), 200);
  await Promise.all([
    shop.changeOrders.execute(
      orders.map(({ orderNo }) => ({
        orderNo,
        event: { type: 'payment-succeeded', paymentId: randomUUID() },
      })),
    ),
    shop.changeOrders.execute(
      orders.toReversed().map(({ orderNo }) => ({ orderNo, event: { type: 'payment-timed-out' } })),
    ),
  ]);
  for (const { orderNo } of orders) expect(messagesAfterCreation(orderNo)).toHaveLength(1);
}, 60_000);

describe('late', () => {
  test('while the rollback is on its way, the payment waits', async () => {
    const order = await shop.placedOne(await shop.ticketType(1));
    await shop.expire(order);
    await expect(shop.settlePayment.execute([shop.payment(order)])).rejects.toMatchObject({
      code: 'STOCK_NOT_RELEASED',
      kind: 'transient',
    });
  });

  test('with tickets left, the order gets them again, once', async () => {
    const ticketTypeId = await shop.ticketType(1);
    const order = await shop.placedOne(ticketTypeId);
    await shop.expire(order);
    await shop.rollBackStock(order);
    const payment = shop.payment(order);
    await Promise.all(Array.from({ length: 5 }, () => shop.settlePayment.execute([payment])));
    expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED', 'PAID']);
    expect(messagesAfterCreation(order.orderNo)).toEqual(['order.cancelled', 'order.paid']);
    expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 0, held: 0, sold: 1 });
  });

  test('with the tickets sold to somebody else, the money goes back', async () => {
    const ticketTypeId = await shop.ticketType(1);
    const order = await shop.placedOne(ticketTypeId);
    await shop.expire(order);
    await shop.rollBackStock(order);
    await shop.placedOne(ticketTypeId);
    const payment = shop.payment(order);
    await shop.settlePayment.execute([payment, payment]);
    expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED', 'REFUNDING']);
    expect(messagesAfterCreation(order.orderNo)).toEqual(['order.cancelled', 'payment.refund-requested']);
    expect(refund(payment.paymentId)).toMatchObject({ reason: 'sold-out', amountMinor: 5_000 });

    await shop.changeOrders.one(order.orderNo, { type: 'payment-refunded', paymentId: payment.paymentId });
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe('REFUNDED');
    expect(messagesAfterCreation(order.orderNo).at(-1)).toBe('order.refunded');
  });

  /** Cancelled, with its tickets free again, in a sale that ended a minute ago. */
  const cancelledInASaleThatIsOver = async (startsInMs: number) => {
    const ticketTypeId = await shop.ticketType(1);
    const order = await shop.placedOne(ticketTypeId);
    await shop.expire(order);
    await shop.rollBackStock(order);
    const [closesAt, startsAt] = [Date.now() - 60_000, Date.now() + startsInMs];
    await shop.redis.hset(`stock:{${ticketTypeId}}:counter`, { closesAt, startsAt });
    return { ticketTypeId, order };
  };
  const agoMs = (ms: number): string => new Date(Date.now() - ms).toISOString();

  test.each([
    ['is in time when the money was captured in time, and only the news is late', 3_600_000, 90_000, 'PAID'],
    ['is too late when the money was captured after it', 3_600_000, 30_000, 'REFUNDING'],
    ['is too late once the session has begun, whenever it was captured', -1_000, 90_000, 'REFUNDING'],
  ])('a payment told after the end of the sale %s', async (_when, startsInMs, capturedAgoMs, status) => {
    const { order } = await cancelledInASaleThatIsOver(startsInMs);
    await shop.settlePayment.execute([{ ...shop.payment(order), capturedAt: agoMs(capturedAgoMs) }]);
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe(status);
  });

  test('once the sale is over, the money goes back though tickets are left', async () => {
    const { ticketTypeId, order } = await cancelledInASaleThatIsOver(3_600_000);
    const payment = shop.payment(order);
    await shop.settlePayment.execute([payment]);
    expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED', 'REFUNDING']);
    expect(refund(payment.paymentId)).toMatchObject({ reason: 'sale-over' });
    expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 1, sold: 0 });
  });

  test('tickets taken for an order that went to its refund meanwhile are given back', async () => {
    const ticketTypeId = await shop.ticketType(1);
    const order = await shop.placedOne(ticketTypeId);
    await shop.expire(order);
    await shop.rollBackStock(order);
    const payment = shop.payment(order);
    const reacquire = shop.stock.reacquire.bind(shop.stock);
    shop.stock.reacquire = async (asked) => {
      // Another delivery of the payment found no tickets a moment ago.
      await shop.changeOrders.one(order.orderNo, {
        type: 'stock-not-reacquired',
        paymentId: payment.paymentId,
        why: 'sold-out',
      });
      return reacquire(asked);
    };
    try {
      await shop.settlePayment.execute([payment]);
    } finally {
      shop.stock.reacquire = reacquire;
    }
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe('REFUNDING');
    expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 1, sold: 0 });
  });
});

test('tickets taken for a second late payment, when the first one went to its refund meanwhile, are given back', async () => {
  const ticketTypeId = await shop.ticketType(1);
  const order = await shop.placedOne(ticketTypeId);
  await shop.expire(order);
  await shop.rollBackStock(order);
  const [first, second] = [shop.payment(order), shop.payment(order)];
  const reacquire = shop.stock.reacquire.bind(shop.stock);
  shop.stock.reacquire = async (...asked) => {
    await shop.changeOrders.one(order.orderNo, {
      type: 'stock-not-reacquired',
      paymentId: first.paymentId,
      why: 'sold-out',
    });
    return reacquire(...asked);
  };
  try {
    await shop.settlePayment.execute([second]);
  } finally {
    shop.stock.reacquire = reacquire;
  }
  expect(refund(first.paymentId)).toMatchObject({ reason: 'sold-out' });
  expect(refund(second.paymentId)).toMatchObject({ reason: 'paid-twice' });
  expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 1, held: 0, sold: 0 });
});

describe('cancelled by its buyer', () => {
  test('before the payment comes in: the money goes back, once, and the tickets stay on sale', async () => {
    const ticketTypeId = await shop.ticketType(1);
    const order = await shop.placedOne(ticketTypeId);
    await shop.cancelOrder.execute(order.orderNo, order.buyerId);
    await shop.rollBackStock(order);
    const payment = shop.payment(order);
    await Promise.all(Array.from({ length: 5 }, () => shop.settlePayment.execute([payment])));
    expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED', 'REFUNDING']);
    expect(messagesAfterCreation(order.orderNo)).toEqual(['order.cancelled', 'payment.refund-requested']);
    expect(refund(payment.paymentId)).toMatchObject({ reason: 'cancelled-by-buyer', amountMinor: 5_000 });
    expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 1, sold: 0 });
  });

  test('a rollback still on its way does not keep the money waiting', async () => {
    const order = await shop.placedOne(await shop.ticketType(1));
    await shop.cancelOrder.execute(order.orderNo, order.buyerId);
    await shop.settlePayment.execute([shop.payment(order)]);
    expect((await shop.statuses(order.orderNo)).at(-1)).toBe('REFUNDING');
  });

  test('a cancellation and a capture raced 100 times: paid and not cancellable, or cancelled and refunded', async () => {
    const orders = await shop.placed(await shop.ticketType(100), 100);
    for (const [index, order] of orders.entries()) {
      const payment = shop.payment(order);
      const cancel = (): Promise<string> =>
        shop.cancelOrder.execute(order.orderNo, order.buyerId).then(
          () => 'cancelled',
          (error: unknown) => (error as { code: string }).code,
        );
      const pay = (): Promise<void> => shop.settlePayment.execute([payment]);
      const paying = index % 2 === 0 ? undefined : pay();
      const [answer] = await Promise.all([cancel(), paying ?? pay()]);
      const ending = (await shop.statuses(order.orderNo)).slice(2).join(' ');
      expect([answer, ending]).toEqual(
        answer === 'cancelled' ? [answer, 'CANCELLED REFUNDING'] : ['ORDER_NOT_CANCELLABLE', 'PAID'],
      );
      expect(refund(payment.paymentId) !== undefined).toBe(answer === 'cancelled');
    }
  }, 60_000);
});

test('a second payment of a paid order goes back, and the order stays paid', async () => {
  const order = await shop.placedOne(await shop.ticketType(1));
  const second = shop.payment(order);
  await shop.settlePayment.execute([shop.payment(order), second]);
  expect((await shop.statuses(order.orderNo)).at(-1)).toBe('PAID');
  expect(refund(second.paymentId)).toMatchObject({ reason: 'paid-twice' });
  await shop.changeOrders.one(order.orderNo, { type: 'payment-refunded', paymentId: second.paymentId });
  expect((await shop.statuses(order.orderNo)).at(-1)).toBe('PAID');
});

test('money of a paid order that is sent back at the provider ends the order, once, and its tickets are free', async () => {
  const order = await shop.placedOne(await shop.ticketType(1));
  const payment = shop.payment(order);
  const refunded = { type: 'payment-refunded', paymentId: payment.paymentId } as const;
  // The refund overtakes the payment: it must not be taken for done.
  expect((await shop.changeOrders.one(order.orderNo, refunded))?.decision).toEqual({ do: 'wait' });
  await shop.settlePayment.execute([payment]);
  await Promise.all([1, 2, 3].map(() => shop.changeOrders.one(order.orderNo, refunded)));
  expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['PAID', 'REFUNDED']);
  expect(messagesAfterCreation(order.orderNo)).toEqual(['order.paid', 'order.refunded']);
  const told = shop.bus.visible.find(
    ({ contract, payload }) =>
      contract.name === 'order.refunded' && (payload as { orderNo: string }).orderNo === order.orderNo,
  );
  expect(told?.payload).toMatchObject({ ticketsReturned: true, paymentId: payment.paymentId });
});

test('a paid order whose tickets the ledger refuses is refunded; an unpaid one is rejected', async () => {
  const ticketTypeId = await shop.ticketType(2);
  const [paid, unpaid] = await shop.placed(ticketTypeId, 2);
  if (paid === undefined || unpaid === undefined) throw new Error('nothing placed');
  const payment = shop.payment(paid);
  await shop.settlePayment.execute([payment]);
  await shop.changeOrders.execute(
    [paid, unpaid].map(({ orderNo }) => ({ orderNo, event: { type: 'stock-refused' } })),
  );
  expect((await shop.statuses(paid.orderNo)).at(-1)).toBe('REFUNDING');
  expect(refund(payment.paymentId)).toMatchObject({ reason: 'ledger-refused' });
  expect((await shop.statuses(unpaid.orderNo)).at(-1)).toBe('REJECTED');

  const afterwards = shop.payment(unpaid);
  await shop.settlePayment.execute([afterwards]);
  expect(refund(afterwards.paymentId)).toMatchObject({ reason: 'order-rejected' });
});

test('a payment that overtakes its order is retried, and the others of its batch are settled', async () => {
  const ticketTypeId = await shop.ticketType(2);
  const [early] = await shop.submitted(ticketTypeId);
  const order = await shop.placedOne(ticketTypeId);
  if (early === undefined) throw new Error('nothing submitted');
  const payments = [shop.payment(early), shop.payment(order)];
  await expect(shop.settlePayment.execute(payments)).rejects.toMatchObject({ kind: 'not-found' });
  expect((await shop.statuses(order.orderNo)).at(-1)).toBe('PAID');
  await shop.placeOrders.execute([early]);
  await shop.settlePayment.execute(payments);
  expect((await shop.statuses(early.orderNo)).at(-1)).toBe('PAID');
});

test('what is owed to the others of a batch does not wait for the one that fails', async () => {
  const ticketTypeId = await shop.ticketType(2);
  const [early] = await shop.submitted(ticketTypeId);
  const order = await shop.placedOne(ticketTypeId);
  if (early === undefined) throw new Error('nothing submitted');
  await shop.settlePayment.execute([shop.payment(order)]);
  const second = shop.payment(order);
  await expect(shop.settlePayment.execute([shop.payment(early), second])).rejects.toThrow();
  expect(refund(second.paymentId)).toMatchObject({ reason: 'paid-twice' });
});

describe('a crash', () => {
  test.each(CRASH_POINTS)('%s: the redelivery and the check-back complete the payment', async (point) => {
    const orders = await shop.placed(await shop.ticketType(3), 3);
    const payments = orders.map((order) => shop.payment(order));
    shop.bus.crashAt = point;
    if (point === 'before the local write') shop.clock.aheadMs = -31_000;
    await expect(shop.settlePayment.execute(payments)).rejects.toThrow(Crash);
    shop.clock.aheadMs = 0;
    await shop.settlePayment.execute(payments);
    await shop.askBack();
    expect(shop.bus.undecided).toBe(0);
    for (const { orderNo } of orders) {
      expect((await shop.statuses(orderNo)).at(-1)).toBe('PAID');
      expect(messagesAfterCreation(orderNo)).toEqual(['order.paid']);
    }
  });

  test.each(CRASH_POINTS)('%s: a late payment takes its tickets once', async (point) => {
    const ticketTypeId = await shop.ticketType(2);
    const order = await shop.placedOne(ticketTypeId);
    await shop.expire(order);
    await shop.rollBackStock(order);
    const payment = shop.payment(order);
    shop.bus.crashAt = point;
    if (point === 'before the local write') shop.clock.aheadMs = -31_000;
    await expect(shop.settlePayment.execute([payment])).rejects.toThrow(Crash);
    shop.clock.aheadMs = 0;
    await shop.settlePayment.execute([payment]);
    await shop.askBack();
    expect(messagesAfterCreation(order.orderNo)).toEqual(['order.cancelled', 'order.paid']);
    expect(await shop.stock.read(ticketTypeId)).toMatchObject({ free: 1, sold: 1 });
  });
});
