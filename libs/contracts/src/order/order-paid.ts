import { z } from 'zod';
import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts, PaymentId } from '../values.js';

/** The order is paid. `reacquired`: it had been cancelled, and its stock was taken again. `paymentId` is absent when there was nothing to pay. */
export const OrderPaid = defineEvent({
  topic: 'order',
  tag: 'paid',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({ paymentId: PaymentId.optional(), paidAt: Instant, reacquired: z.boolean() }),
});
export type OrderPaid = PayloadOf<typeof OrderPaid>;
