import { z } from 'zod';
import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts } from '../values.js';

export const CancelReason = z.enum(['payment-timeout', 'buyer']);
export type CancelReason = z.output<typeof CancelReason>;

/** The order will not be paid; its stock goes back. */
export const OrderCancelled = defineEvent({
  topic: 'order',
  tag: 'cancelled',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({ reason: CancelReason, cancelledAt: Instant }),
});
export type OrderCancelled = PayloadOf<typeof OrderCancelled>;
