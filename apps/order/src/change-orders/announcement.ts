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
        reason: change.ticketsReturned ? 'by-provider' : refundReasonOf(order),
        refundedAt: at,
        ticketsReturned: change.ticketsReturned,
      });
  }
}

/** Why the refund was asked for, as the order's history has it. */
const refundReasonOf = ({ history }: Order): RefundReason | undefined =>
  RefundReason.safeParse(history.findLast(({ status }) => status === 'REFUNDING')?.reason).data;

/**
 * The message that told of the order's present status, as it was then, for those who did not get it. Undefined
 * when nobody waits for one: only a captured payment does, for `PAID` or for the wish to send it back.
 */
export function announcementAgain(order: Order): Envelope | undefined {
  const { status, paymentId, history } = order;
  const [before, entry] = history.slice(-2);
  if (paymentId === undefined || entry?.status !== status) return undefined;
  if (status === 'PAID') {
    const reacquired = before?.status === 'CANCELLED';
    return announcement(order, { to: 'PAID', paymentId, reacquired }, entry.at);
  }
  if (status !== 'REFUNDING') return undefined;
  const reason = refundReasonOf(order);
  return reason && announcement(order, { to: 'REFUNDING', paymentId, reason }, entry.at);
}
