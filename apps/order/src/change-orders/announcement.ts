import {
  OrderCancelled,
  OrderPaid,
  OrderRefunded,
  OrderRejected,
  RefundReason,
  RefundRequested,
  type OrderFacts,
} from '#libs/contracts';
import { envelope, type Envelope } from '#libs/messaging';
import type { OrderChange } from '../domain/order-state.js';
import type { Order } from '../domain/order.js';

/** What every order message says about the order. */
export const factsOf = ({
  orderNo,
  buyerId,
  ticketTypeId,
  quantity,
  totalMinor,
  currency,
}: OrderFacts): OrderFacts => ({ orderNo, buyerId, ticketTypeId, quantity, totalMinor, currency });

/** The one message that tells the others of a change. Its instant is the history entry's. */
export function announcement(order: Order, change: OrderChange, at: string): Envelope {
  const facts = factsOf(order);
  switch (change.to) {
    case 'PAID':
      return envelope(OrderPaid, {
        ...facts,
        paymentId: change.paymentId,
        paidAt: at,
        reacquired: change.reacquired,
      });
    case 'CANCELLED':
      return envelope(OrderCancelled, { ...facts, reason: change.reason, cancelledAt: at });
    case 'REJECTED':
      return envelope(OrderRejected, { ...facts, reason: change.reason, rejectedAt: at });
    case 'REFUNDING':
      return envelope(RefundRequested, {
        paymentId: change.paymentId,
        orderNo: order.orderNo,
        amountMinor: order.totalMinor,
        currency: order.currency,
        reason: change.reason,
        requestedAt: at,
      });
    case 'REFUNDED':
      return envelope(OrderRefunded, {
        ...facts,
        paymentId: change.paymentId,
        reason: refundReasonOf(order),
        refundedAt: at,
      });
  }
}

/** Why the refund was asked for, as the order's history has it. */
const refundReasonOf = ({ history }: Order): RefundReason | undefined =>
  RefundReason.safeParse(history.findLast(({ status }) => status === 'REFUNDING')?.reason).data;
