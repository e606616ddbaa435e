import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { paymentTimeoutTimerId } from '#libs/contracts';
import { OrderUnderTest } from '../testing/order-under-test.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

test('a buyer cancels once, however often they ask', async () => {
  const order = await shop.placedOne(await shop.ticketType(1));
  await Promise.all(Array.from({ length: 5 }, () => shop.cancelOrder.execute(order.orderNo, order.buyerId)));
  expect((await shop.statuses(order.orderNo)).slice(2)).toEqual(['CANCELLED']);
  expect(shop.bus.namesOf(order.orderNo).slice(2)).toEqual(['order.cancelled']);
  expect(shop.bus.recalled).toContain(paymentTimeoutTimerId(order.orderNo));
});

test("another buyer's order is not found", async () => {
  const order = await shop.placedOne(await shop.ticketType(1));
  await expect(shop.cancelOrder.execute(order.orderNo, 'somebody else')).rejects.toMatchObject({
    code: 'ORDER_NOT_FOUND',
  });
});

test.each(['nonsense', '0123456789-0123456789abcdef', "' OR 1=1 --"])('%s is not found', async (orderNo) => {
  await expect(shop.cancelOrder.execute(orderNo, 'anybody')).rejects.toMatchObject({
    code: 'ORDER_NOT_FOUND',
    kind: 'not-found',
  });
});

test('what is paid, expired or still queued cannot be cancelled', async () => {
  const ticketTypeId = await shop.ticketType(3);
  const [paid, expired] = await shop.placed(ticketTypeId, 2);
  const [queued] = await shop.submitted(ticketTypeId);
  if (paid === undefined || expired === undefined || queued === undefined) throw new Error('nothing placed');
  await shop.settlePayment.execute([shop.payment(paid)]);
  await shop.expire(expired);
  for (const order of [paid, expired, queued]) {
    await expect(shop.cancelOrder.execute(order.orderNo, order.buyerId)).rejects.toMatchObject({
      code: 'ORDER_NOT_CANCELLABLE',
      kind: 'conflict',
    });
  }
  // Nobody else is told that it is there.
  await expect(shop.cancelOrder.execute(queued.orderNo, 'another buyer')).rejects.toMatchObject({
    code: 'ORDER_NOT_FOUND',
  });
});
