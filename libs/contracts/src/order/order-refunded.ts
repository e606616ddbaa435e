import { z } from 'zod';
import { defineEvent, type PayloadOf } from '#libs/messaging';
import { RefundReason } from '../payment/payment-messages.js';
import { Instant, OrderFacts, PaymentId } from '../values.js';

/** The order's payment went back to the buyer. `reason` is absent in messages of before it was told. */
export const OrderRefunded = defineEvent({
  topic: 'order',
  tag: 'refunded',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({
    paymentId: PaymentId,
    reason: RefundReason.optional(),
    refundedAt: Instant,
    /** The order had been paid for, and its tickets are free again. Absent: they never were the buyer's. */
    ticketsReturned: z.boolean().optional(),
  }),
});
export type OrderRefunded = PayloadOf<typeof OrderRefunded>;
