import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { paymentTimeoutTimerId, type OrderSubmitted } from '#libs/contracts';
import { CRASH_POINTS, Crash } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';
import { OrderUnderTest } from '../testing/order-under-test.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());
afterEach(() => {
  shop.clock.aheadMs = 0;
  shop.bus.beforeLocal = undefined;
});

const CREATED = ['order.created', 'order.payment-timeout'];
const created = (orderNo: string): unknown =>
  shop.bus.visible.find(
    ({ contract, payload }) =>
      contract.name === 'order.created' && (payload as { orderNo: string }).orderNo === orderNo,
  )?.payload;

test('a batch is written whole, every order with its message and its timer', async () => {
  const orders = await shop.submitted(await shop.ticketType(500), 500);
  await shop.placeOrders.execute(orders);
  const written = await shop.store.find(orders.map(({ orderNo }) => orderNo));
  expect(written.size).toBe(500);
  for (const order of orders) expect(shop.bus.namesOf(order.orderNo)).toEqual(CREATED);
  const [first] = written.values();
  expect(first).toMatchObject({ status: 'PENDING_PAYMENT', totalMinor: 5_000, currency: 'EUR' });
  expect(first?.history.map(({ status }) => status)).toEqual(['QUEUED', 'PENDING_PAYMENT']);
  expect((first?.payBeforeMs ?? 0) - (first?.createdAtMs ?? 0)).toBe(1_800_000);
});

test('an order that comes twice in one batch is written once, and every hold of the batch is claimed', async () => {
  const orders = await shop.submitted(await shop.ticketType(3), 3);
  await shop.placeOrders.execute([...orders, ...orders]);
  for (const { orderNo } of orders) {
    expect(shop.bus.namesOf(orderNo)).toEqual(CREATED);
    expect((await shop.stock.hold(orderNo))?.state).toBe('claimed');
  }
});

test('the same message ten times at once gives one order, announced once', async () => {
  const orders = await shop.submitted(await shop.ticketType(5), 5);
  await Promise.all(Array.from({ length: 10 }, () => shop.placeOrders.execute(orders)));
  await shop.placeOrders.execute([...orders, ...orders]);
  for (const { orderNo } of orders) {
    expect(await shop.statuses(orderNo)).toEqual(['QUEUED', 'PENDING_PAYMENT']);
    expect(shop.bus.namesOf(orderNo)).toEqual(CREATED);
  }
});

test('batches that overlap are each written to the end', async () => {
  const orders = await shop.submitted(await shop.ticketType(300), 300);
  await Promise.all([
    shop.placeOrders.execute(orders.slice(0, 200)),
    shop.placeOrders.execute(orders.slice(100)),
  ]);
  for (const { orderNo } of orders) expect(shop.bus.namesOf(orderNo)).toEqual(CREATED);
});

test('an order whose hold was released is rejected, beside others that are not', async () => {
  const ticketTypeId = await shop.ticketType(2);
  const [late, inTime] = await shop.submitted(ticketTypeId, 2);
  if (late === undefined || inTime === undefined) throw new Error('nothing submitted');
  await shop.stock.release(ticketTypeId, [late], 'rollback');
  await shop.placeOrders.execute([late, inTime]);
  expect(await shop.statuses(late.orderNo)).toEqual(['QUEUED', 'REJECTED']);
  expect(shop.bus.namesOf(late.orderNo)).toEqual(['order.rejected']);
  expect(shop.bus.namesOf(inTime.orderNo)).toEqual(CREATED);
});

test('an order can be paid until its sale ends, if that is earlier, beside others of other sales', async () => {
  const endsAtMs = Math.floor(shop.clock.now()) + 60_000;
  const [soon] = await shop.submitted(await shop.ticketType(1, endsAtMs));
  const [later] = await shop.submitted(await shop.ticketType(1));
  if (soon === undefined || later === undefined) throw new Error('nothing submitted');
  const { saleEndsAt: _, ...old } = later;
  await shop.placeOrders.execute([soon, old]);
  const written = await shop.store.find([soon.orderNo, old.orderNo]);
  expect(written.get(soon.orderNo)?.payBeforeMs).toBe(endsAtMs);
  const other = written.get(old.orderNo);
  expect((other?.payBeforeMs ?? 0) - (other?.createdAtMs ?? 0)).toBe(1_800_000);
  const timer = shop.bus.visible.find(
    ({ options }) => options.timerId === paymentTimeoutTimerId(soon.orderNo),
  );
  expect(timer?.options.deliverAtMs).toBe(endsAtMs);
  expect(created(soon.orderNo)).toMatchObject({ payBefore: new Date(endsAtMs).toISOString() });
});

test('one that is written after its sale has ended is over at once, and its money goes back', async () => {
  const endsAtMs = shop.clock.now() + 60_000;
  const ticketTypeId = await shop.ticketType(1, endsAtMs);
  const [order] = await shop.submitted(ticketTypeId);
  if (order === undefined) throw new Error('nothing submitted');
  await shop.placeOrders.execute([{ ...order, saleEndsAt: new Date(Date.now() - 1_000).toISOString() }]);
  await shop.expire(order);
  await shop.rollBackStock(order);
  // The end has come, by the clock that sales go by.
  await shop.redis.hset(`stock:{${ticketTypeId}}:counter`, 'closesAt', Date.now() - 1_000);
  await shop.settlePayment.execute([shop.payment(order)]);
  expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED', 'REFUNDING']);
});

describe('an order that costs nothing', () => {
  const free = async (count = 1): Promise<OrderSubmitted[]> =>
    (await shop.submitted(await shop.ticketType(count), count)).map((order) => ({ ...order, totalMinor: 0 }));

  test('is paid as soon as it is written: told once, without a payment, and with no timeout set', async () => {
    const orders = await free(3);
    await Promise.all([shop.placeOrders.execute(orders), shop.placeOrders.execute(orders)]);
    for (const { orderNo } of orders) {
      expect(await shop.statuses(orderNo)).toEqual(['QUEUED', 'PAID']);
      expect(shop.bus.namesOf(orderNo)).toEqual(['order.paid']);
      expect((await shop.store.find([orderNo])).get(orderNo)).toMatchObject({
        totalMinor: 0,
        paymentId: undefined,
        payBeforeMs: undefined,
      });
    }
  });

  test('is rejected when its hold is gone, like any other', async () => {
    const [order] = await free();
    if (order === undefined) throw new Error('nothing submitted');
    await shop.stock.release(order.ticketTypeId, [order], 'rollback');
    await shop.placeOrders.execute([order]);
    expect(await shop.statuses(order.orderNo)).toEqual(['QUEUED', 'REJECTED']);
  });

  test('is rejected, not refunded, when the ledger refuses its tickets', async () => {
    const [order] = await free();
    if (order === undefined) throw new Error('nothing submitted');
    await shop.placeOrders.execute([order]);
    await shop.changeOrders.one(order.orderNo, { type: 'stock-refused' });
    expect(await shop.statuses(order.orderNo)).toEqual(['QUEUED', 'PAID', 'REJECTED']);
    expect(shop.bus.namesOf(order.orderNo)).toEqual(['order.paid', 'order.rejected']);
  });

  test.each(CRASH_POINTS)('%s: the redelivery and the check-back complete it', async (point) => {
    const orders = await free();
    shop.bus.crashAt = point;
    if (point === 'before the local write') shop.clock.aheadMs = -31_000;
    await expect(shop.placeOrders.execute(orders)).rejects.toThrow(Crash);
    shop.clock.aheadMs = 0;
    await shop.placeOrders.execute(orders);
    await shop.askBack();
    expect(shop.bus.undecided).toBe(0);
    expect(shop.bus.namesOf(orders[0]?.orderNo ?? '')).toEqual(['order.paid']);
  });
});

describe('a crash', () => {
  test.each(CRASH_POINTS)('%s: the redelivery and the check-back complete the order', async (point) => {
    const orders = await shop.submitted(await shop.ticketType(3), 3);
    shop.bus.crashAt = point;
    // What was never written is as old as a check-back needs to say so; what was, cannot be.
    if (point === 'before the local write') shop.clock.aheadMs = -31_000;
    await expect(shop.placeOrders.execute(orders)).rejects.toThrow(Crash);
    shop.clock.aheadMs = 0;
    await shop.placeOrders.execute(orders);
    await shop.askBack();
    expect(shop.bus.undecided).toBe(0);
    for (const { orderNo } of orders) {
      expect(await shop.statuses(orderNo)).toEqual(['QUEUED', 'PENDING_PAYMENT']);
      expect(shop.bus.namesOf(orderNo)).toEqual(CREATED);
    }
  });

  test('the check-back waits for a writer that may still be at work', async () => {
    const orders = await shop.submitted(await shop.ticketType(1));
    shop.bus.crashAt = 'before the local write';
    await expect(shop.placeOrders.execute(orders)).rejects.toThrow(Crash);
    expect(await shop.askBack()).toEqual(['unknown']);
    // Whatever the clock of the one who is asked: the database's is asked, as by the writer.
    shop.clock.aheadMs = 31_000;
    expect(await shop.askBack()).toEqual(['unknown']);
    shop.clock.aheadMs = -31_000;
    shop.bus.crashAt = 'before the local write';
    await expect(shop.placeOrders.execute(orders)).rejects.toThrow(Crash);
    expect(await shop.askBack()).toEqual(['unknown', 'rollback']);
  });

  test('a writer that was frozen until after the check-back can no longer write', async () => {
    const orders = await shop.submitted(await shop.ticketType(1));
    const undecided = shop.bus.undecided;
    // Its clock stood still: it prepared, and writes, at a time that is long past for everybody else.
    shop.clock.aheadMs = -21_000;
    await expect(shop.placeOrders.execute(orders)).rejects.toMatchObject({ kind: 'transient' });
    expect(await shop.statuses(orders[0]?.orderNo ?? '')).toEqual([]);
    expect(shop.bus.undecided).toBe(undecided);
  });
});
