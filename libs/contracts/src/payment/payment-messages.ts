import { z } from 'zod';
import { defineCommand, defineEvent, type PayloadOf } from '#libs/messaging';
import { BuyerId, Currency, Instant, Minor, OrderNo, PaymentId } from '../values.js';

const Payment = z.object({ paymentId: PaymentId, orderNo: OrderNo, amountMinor: Minor, currency: Currency });

/** Of whoever pays. Absent in messages of before buyers were told what became of a payment. */
const buyerId = BuyerId.optional();

/**
 * The provider captured the money: at `capturedAt` by its own clock, and we heard of it at `succeededAt`. `unanswered`: this has been said before, and no answer has come (the order is
 * paid, or wants it refunded); whoever has given one gives it again.
 */
export const PaymentSucceeded = defineEvent({
  topic: 'payment',
  tag: 'succeeded',
  version: 1,
  key: (payment) => payment.orderNo,
  payload: Payment.extend({
    succeededAt: Instant,
    capturedAt: Instant.optional(),
    unanswered: z.boolean().optional(),
  }),
});
export type PaymentSucceeded = PayloadOf<typeof PaymentSucceeded>;

/** The provider declined; the buyer may try again with a new payment. */
export const PaymentFailed = defineEvent({
  topic: 'payment',
  tag: 'failed',
  version: 1,
  key: (payment) => payment.orderNo,
  payload: Payment.extend({ buyerId, failedAt: Instant }),
});
export type PaymentFailed = PayloadOf<typeof PaymentFailed>;

/**
 * Why the money goes back. The order ends `REFUNDED`: `sold-out` paid after the timeout, and no stock was left;
 * `sale-over` paid after the timeout and after the end of the sale; `cancelled-by-buyer` the buyer had cancelled
 * before the money came; `ledger-refused` see `RejectReason`; `by-provider` nobody here asked for it: it was sent
 * back in the provider's dashboard. The order stays as it is: `paid-twice` another
 * payment pays for it; `order-rejected` it never got tickets.
 */
export const RefundReason = z.enum([
  'sold-out',
  'sale-over',
  'cancelled-by-buyer',
  'ledger-refused',
  'by-provider',
  'paid-twice',
  'order-rejected',
]);
export type RefundReason = z.output<typeof RefundReason>;

/**
 * The order service asks for the money to go back. At most one refund per payment. `unanswered`: this has been asked
 * before, and nobody has said that it was done; whoever has said so says it again.
 */
export const RefundRequested = defineCommand({
  topic: 'payment',
  tag: 'refund-requested',
  version: 1,
  key: (refund) => refund.orderNo,
  payload: Payment.extend({
    reason: RefundReason,
    requestedAt: Instant,
    unanswered: z.boolean().optional(),
  }),
});
export type RefundRequested = PayloadOf<typeof RefundRequested>;

/** The money went back. */
export const PaymentRefunded = defineEvent({
  topic: 'payment',
  tag: 'refunded',
  version: 1,
  key: (refund) => refund.orderNo,
  payload: Payment.extend({ buyerId, reason: RefundReason, refundedAt: Instant }),
});
export type PaymentRefunded = PayloadOf<typeof PaymentRefunded>;

/**
 * The provider told something of a payment that somebody should look at: another amount, a dispute, money sent back in
 * its dashboard, a payment that is not ours. `kind` is open, so that a new one reaches the operator at once.
 */
export const PaymentAnomalyRecorded = defineEvent({
  topic: 'payment',
  tag: 'anomaly',
  version: 1,
  key: (anomaly) => anomaly.eventId,
  payload: z.object({
    /** The provider's; of one that has none, a hash of what it sent. */
    eventId: z.string().min(1).max(200),
    kind: z.string().min(1).max(64),
    /** As the provider wrote it: not always one of ours. */
    paymentId: z.string().max(200).optional(),
    recordedAt: Instant,
  }),
});
export type PaymentAnomalyRecorded = PayloadOf<typeof PaymentAnomalyRecorded>;
