import {
  OrderCancelled,
  OrderCreated,
  OrderPaid,
  OrderRefunded,
  OrderRejected,
  RefundRequested,
} from '#libs/contracts';
import type { CheckedMessage, MessageContract } from '#libs/messaging';
import type { Order } from '../domain/order.js';
import type { WrittenStatus } from '../domain/order-state.js';

/** What a half message says has been written: this status, at this very instant. */
export type Claim = { orderNo: string; status: WrittenStatus; at: string };

const CLAIMS = [
  claimBy(OrderCreated, (message) => ['PENDING_PAYMENT', message.createdAt]),
  claimBy(OrderPaid, (message) => ['PAID', message.paidAt]),
  claimBy(OrderCancelled, (message) => ['CANCELLED', message.cancelledAt]),
  claimBy(OrderRejected, (message) => ['REJECTED', message.rejectedAt]),
  claimBy(RefundRequested, (message) => ['REFUNDING', message.requestedAt]),
  claimBy(OrderRefunded, (message) => ['REFUNDED', message.refundedAt]),
];

/** Undefined for a message that follows another one of its transaction, as PaymentTimeout does OrderCreated. */
export function claimOf(message: CheckedMessage): Claim | undefined {
  return CLAIMS.find(({ name }) => name === message.contract)?.of(message.payload);
}

/**
 * Whether the claimed change is part of the order's history. By the instant, not by the present status:
 * the order may have moved on, and another sender may have made the same change a moment later.
 */
export function holds(claim: Claim, order: Pick<Order, 'history'> | undefined): boolean {
  return order?.history.some((entry) => entry.status === claim.status && entry.at === claim.at) ?? false;
}

function claimBy<Payload extends { orderNo: string }>(
  contract: MessageContract<Payload>,
  read: (payload: Payload) => [WrittenStatus, string],
): { name: string; of(payload: unknown): Claim } {
  return {
    name: contract.name,
    of: (payload) => {
      const message = contract.payload.parse(payload);
      const [status, at] = read(message);
      return { orderNo: message.orderNo, status, at };
    },
  };
}
