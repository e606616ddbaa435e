import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts } from '../values.js';

/** The gateway reserved the stock and accepted the order; nobody has written it yet. */
export const OrderSubmitted = defineEvent({
  topic: 'order',
  tag: 'submitted',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({
    submittedAt: Instant,
    /** Nothing is paid for after it. Absent in messages of before there was one. */
    saleEndsAt: Instant.optional(),
  }),
});
export type OrderSubmitted = PayloadOf<typeof OrderSubmitted>;
