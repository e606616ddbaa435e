import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts } from '../values.js';

/** The order is written and waits for its payment until `payBefore`. */
export const OrderCreated = defineEvent({
  topic: 'order',
  tag: 'created',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({ createdAt: Instant, payBefore: Instant }),
});
export type OrderCreated = PayloadOf<typeof OrderCreated>;
