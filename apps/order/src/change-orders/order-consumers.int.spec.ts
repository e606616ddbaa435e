import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OrderSubmitted, PaymentRefunded, PaymentTimeout, StockDeducted } from '#libs/contracts';
import type { Delivery } from '#libs/messaging';
import { PaymentTimeoutConsumer } from '../expire-order/payment-timeout.consumer.js';
import { PaymentRefundedConsumer } from '../finish-refund/payment-refunded.consumer.js';
import { StockDeductedConsumer } from '../reject-order/stock-deducted.consumer.js';
import { OrderUnderTest } from '../testing/order-under-test.js';

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

const delivery = <Payload>(payload: unknown): Delivery<Payload> =>
  ({ payload }) as unknown as Delivery<Payload>;
const timeouts = (...orders: OrderSubmitted[]): Promise<void> =>
  new PaymentTimeoutConsumer(shop.changeOrders).handle(
    orders.map(({ orderNo }) => delivery<PaymentTimeout>({ orderNo })),
  );
const refunded = ({ orderNo }: OrderSubmitted, paymentId: string): Promise<void> =>
  new PaymentRefundedConsumer(shop.changeOrders).handle(delivery<PaymentRefunded>({ orderNo, paymentId }));
const ledgerSays = (outcome: 'deducted' | 'refused', ...orders: OrderSubmitted[]): Promise<void> =>
  new StockDeductedConsumer(shop.changeOrders).handle(
    orders.map(({ orderNo }) => delivery<StockDeducted>({ orderNo, outcome })),
  );
const last = async (order: OrderSubmitted): Promise<string | undefined> =>
  (await shop.statuses(order.orderNo)).at(-1);
const placed = async (): Promise<OrderSubmitted> => shop.placedOne(await shop.ticketType(1));
const early = async (): Promise<OrderSubmitted> => {
  const [order] = await shop.submitted(await shop.ticketType(1));
  if (order === undefined) throw new Error('nothing was submitted');
  return order;
};

describe('a message that comes before its order is retried, not acknowledged:', () => {
  const messages: [string, (order: OrderSubmitted) => Promise<void>][] = [
    ['a timeout', (order) => timeouts(order)],
    ['a refusal of the ledger', (order) => ledgerSays('refused', order)],
  ];
  test.each(messages)('%s', async (_name, consume) => {
    const order = await early();
    await expect(consume(order)).rejects.toMatchObject({ code: 'ORDER_NOT_FOUND', kind: 'not-found' });
    await shop.placeOrders.execute([order]);
    await consume(order);
  });

  test('a refund, also while the payment that it sends back is to come', async () => {
    const [order, paymentId] = [await early(), randomUUID()];
    await expect(refunded(order, paymentId)).rejects.toMatchObject({ kind: 'not-found' });
    await shop.placeOrders.execute([order]);
    await expect(refunded(order, paymentId)).rejects.toMatchObject({ code: 'PAYMENT_NOT_SEEN' });
    await shop.settlePayment.execute([shop.payment(order, paymentId)]);
    await refunded(order, paymentId);
    expect(await last(order)).toBe('REFUNDED');
  });

  test('and the others of its batch are dealt with', async () => {
    const [missing, there] = [await early(), await placed()];
    await expect(timeouts(missing, there)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await last(there)).toBe('CANCELLED');
    const other = await placed();
    await expect(ledgerSays('refused', missing, other)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await last(other)).toBe('REJECTED');
  });
});

describe('the ledger refuses', () => {
  test('an unpaid order: it is rejected, and everybody hears of it', async () => {
    const order = await placed();
    await ledgerSays('refused', order);
    expect(await last(order)).toBe('REJECTED');
    expect(shop.bus.namesOf(order.orderNo).at(-1)).toBe('order.rejected');
  });

  test('a paid one: its money goes back', async () => {
    const order = await placed();
    await shop.settlePayment.execute([shop.payment(order)]);
    await ledgerSays('refused', order);
    expect(await last(order)).toBe('REFUNDING');
    expect(shop.bus.namesOf(order.orderNo).at(-1)).toBe('payment.refund-requested');
  });

  test('one of a batch: the others stay as they are', async () => {
    const [refused, taken] = [await placed(), await placed()];
    await ledgerSays('deducted', taken);
    const consumer = new StockDeductedConsumer(shop.changeOrders);
    await consumer.handle([
      delivery<StockDeducted>({ orderNo: taken.orderNo, outcome: 'deducted' }),
      delivery<StockDeducted>({ orderNo: refused.orderNo, outcome: 'refused' }),
    ]);
    expect([await last(refused), await last(taken)]).toEqual(['REJECTED', 'PENDING_PAYMENT']);
  });
});
