import { z } from 'zod';
import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderFacts } from '../values.js';

/** `hold-lost`: the reservation was gone before the order was written. `ledger-refused`: the ledger had no stock for it. */
export const RejectReason = z.enum(['hold-lost', 'ledger-refused']);
export type RejectReason = z.output<typeof RejectReason>;

/** The order could not be written, or its stock was refused by the ledger. No ticket, no money. */
export const OrderRejected = defineEvent({
  topic: 'order',
  tag: 'rejected',
  version: 1,
  key: (order) => order.orderNo,
  payload: OrderFacts.extend({ reason: RejectReason, rejectedAt: Instant }),
});
export type OrderRejected = PayloadOf<typeof OrderRejected>;
