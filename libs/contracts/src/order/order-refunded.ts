import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts, PaymentId } from '../values.js';

/** A payment that came too late for its stock went back to the buyer. */
export const OrderRefunded = defineEvent({
  topic: 'order',
  tag: 'refunded',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({ paymentId: PaymentId, refundedAt: Instant }),
});
export type OrderRefunded = PayloadOf<typeof OrderRefunded>;
