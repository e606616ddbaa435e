import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OrderSubmitted } from '#libs/contracts';
import { isCommitted } from '../../../../libs/service-kit/src/testing/index.js';
import { OrderUnderTest } from '../testing/order-under-test.js';

/** The database has committed, and its answer is lost: the order changed, and everybody must hear of it, once. */

let shop: OrderUnderTest;
beforeAll(async () => {
  shop = await OrderUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());

type Case = {
  given: () => Promise<OrderSubmitted>;
  when: (order: OrderSubmitted) => Promise<unknown>;
  statement: string;
  announced: string[];
};
const paymentId = randomUUID();
const submitted = async (): Promise<OrderSubmitted> => {
  const [order] = await shop.submitted(await shop.ticketType(1));
  if (order === undefined) throw new Error('nothing was submitted');
  return order;
};
const placed = async (): Promise<OrderSubmitted> => shop.placedOne(await shop.ticketType(1));
const cancelledByItsBuyer = async (): Promise<OrderSubmitted> => {
  const order = await placed();
  await shop.cancelOrder.execute(order.orderNo, order.buyerId);
  return order;
};
const pay = (order: OrderSubmitted): Promise<unknown> =>
  shop.settlePayment.execute([shop.payment(order, paymentId)]);
const change = 'UPDATE orders AS o';

const cases: Record<string, Case> = {
  placing: {
    given: submitted,
    when: (order) => shop.placeOrders.execute([order]),
    statement: 'INSERT INTO orders',
    announced: ['order.created', 'order.payment-timeout'],
  },
  paying: { given: placed, when: pay, statement: change, announced: ['order.paid'] },
  'cancelling by the buyer': {
    given: placed,
    when: ({ orderNo, buyerId }) => shop.cancelOrder.execute(orderNo, buyerId),
    statement: change,
    announced: ['order.cancelled'],
  },
  expiring: {
    given: placed,
    when: (order) => shop.expire(order),
    statement: change,
    announced: ['order.cancelled'],
  },
  refunding: {
    given: cancelledByItsBuyer,
    when: pay,
    statement: change,
    announced: ['payment.refund-requested'],
  },
  'finishing a refund': {
    given: async () => {
      const order = await cancelledByItsBuyer();
      await pay(order);
      return order;
    },
    when: ({ orderNo }) => shop.changeOrders.one(orderNo, { type: 'payment-refunded', paymentId }),
    statement: change,
    announced: ['order.refunded'],
  },
};

describe.each(Object.entries(cases))('%s', (_name, { given, when, statement, announced }) => {
  test('is told of once, by the check-back; who did it is told that it is not known, and finds it done', async () => {
    const order = await given();
    const before = shop.bus.namesOf(order.orderNo).length;
    const after = (): string[] => shop.bus.namesOf(order.orderNo).slice(before);
    const lost = shop.link.swallowAnswersAfter(statement, { isComplete: isCommitted });
    await expect(when(order)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', kind: 'transient' });
    await lost;
    const statuses = await shop.statuses(order.orderNo);
    expect(after()).toEqual([]);
    await when(order);
    expect(await shop.statuses(order.orderNo)).toEqual(statuses);
    expect(after()).toEqual([]);
    expect(await shop.askBack()).toEqual(['commit']);
    expect(after()).toEqual(announced);
  });

  test('is not done, nor told of, when the connection breaks before the statement; a repeat does it', async () => {
    const order = await given();
    const before = shop.bus.namesOf(order.orderNo).length;
    const after = (): string[] => shop.bus.namesOf(order.orderNo).slice(before);
    const statuses = await shop.statuses(order.orderNo);
    shop.bus.beforeLocal = () => {
      shop.bus.beforeLocal = undefined;
      shop.link.refuse();
      return Promise.resolve();
    };
    await expect(when(order)).rejects.toMatchObject({ kind: 'transient' });
    shop.link.resume();
    expect(await shop.statuses(order.orderNo)).toEqual(statuses);
    await when(order);
    expect(after()).toEqual(announced);
    // The half message of the first try is nobody's: its write never came.
    expect(await shop.askBack()).toEqual(['unknown']);
    shop.bus.forget();
  });
});
