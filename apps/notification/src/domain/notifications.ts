import type {
  NotificationKind,
  OrderCancelled,
  OrderPaid,
  OrderRefunded,
  CodeRequested,
} from '#libs/contracts';
import { formatMinor } from './amount.js';

export type Channel = 'sms' | 'email' | 'push';

/** What is to be said, to whom, on which channels. */
export type Notification = {
  /** The order number, or the id of the sign-in code. */
  subjectId: string;
  kind: NotificationKind;
  channels: readonly Channel[];
  /** A buyer's id, or a phone for a sign-in code. */
  to: string;
  subject: string;
  text: string;
};

const EVERYWHERE: readonly Channel[] = ['sms', 'email', 'push'];

export function orderPaidNotification(order: OrderPaid): Notification {
  const amount = formatMinor(order.totalMinor, order.currency);
  return {
    subjectId: order.orderNo,
    kind: 'order-paid',
    channels: EVERYWHERE,
    to: order.buyerId,
    subject: `Your tickets: order ${order.orderNo} is paid`,
    text: `We received ${amount} for ${tickets(order.quantity)}. Order ${order.orderNo} is yours. Enjoy the show!`,
  };
}

export function orderCancelledNotification(order: OrderCancelled): Notification {
  const why = order.reason === 'buyer' ? 'as you asked' : 'because it was not paid in time';
  return {
    subjectId: order.orderNo,
    kind: 'order-cancelled',
    channels: EVERYWHERE,
    to: order.buyerId,
    subject: `Order ${order.orderNo} is cancelled`,
    text: `Order ${order.orderNo} for ${tickets(order.quantity)} was cancelled ${why}. Nothing is owed.`,
  };
}

export function orderRefundedNotification(order: OrderRefunded): Notification {
  const amount = formatMinor(order.totalMinor, order.currency);
  return {
    subjectId: order.orderNo,
    kind: 'order-refunded',
    channels: EVERYWHERE,
    to: order.buyerId,
    subject: `Order ${order.orderNo}: ${amount} is on its way back`,
    text: `Your payment for order ${order.orderNo} came when no tickets were left. We sent ${amount} back to you.`,
  };
}

/** Undefined when the code has expired meanwhile: it would open nothing and only puzzle its reader. */
export function signInCodeNotification(request: CodeRequested, nowMs: number): Notification | undefined {
  if (nowMs >= Date.parse(request.expiresAt)) return undefined;
  return {
    subjectId: request.codeId,
    kind: 'sign-in-code',
    channels: ['sms'],
    to: request.phone,
    subject: 'Your sign-in code',
    text: `${request.code} is your Stampede sign-in code. It is valid until ${request.expiresAt.slice(11, 16)} UTC.`,
  };
}

const tickets = (quantity: number): string => (quantity === 1 ? '1 ticket' : `${quantity} tickets`);
