import {
  formatMinor,
  type CodeRequested,
  type NotificationKind,
  type OrderCancelled,
  type OrderPaid,
  type OrderRefunded,
  type OrderRejected,
  type PaymentFailed,
  type PaymentRefunded,
} from '#libs/contracts';

export type Channel = 'sms' | 'email' | 'push';

/** What is to be said, to whom, on which channels. */
export type Notification = {
  /** The order number, the payment's id, or the id of the sign-in code. */
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
    subject: `Your tickets: order ${order.orderNo} is ${order.totalMinor === 0 ? 'yours' : 'paid'}`,
    text:
      order.totalMinor === 0
        ? `Order ${order.orderNo} for ${tickets(order.quantity)} is yours. There was nothing to pay. Enjoy the show!`
        : `We received ${amount} for ${tickets(order.quantity)}. Order ${order.orderNo} is yours. Enjoy the show!`,
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
    text: `Order ${order.orderNo} for ${tickets(order.quantity)} was cancelled ${why}. Nothing is owed; a payment that is on its way will ${order.reason === 'buyer' ? 'be sent back' : 'still count if tickets are left, or be sent back'}.`,
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
    text: `${whyRefunded(order)} We sent ${amount} back to you.`,
  };
}

function whyRefunded({ orderNo, reason }: OrderRefunded): string {
  switch (reason) {
    case 'cancelled-by-buyer':
      return `Your payment for order ${orderNo} came after you had cancelled it.`;
    case 'sale-over':
      return `Your payment for order ${orderNo} came when its sale was over.`;
    case 'ledger-refused':
      return `We are sorry: the tickets of order ${orderNo} were sold to somebody else.`;
    case 'by-provider':
      return `Order ${orderNo} has ended, and its tickets are no longer valid.`;
    default:
      return `Your payment for order ${orderNo} came when no tickets were left.`;
  }
}

export function orderRejectedNotification(order: OrderRejected): Notification {
  return {
    subjectId: order.orderNo,
    kind: 'order-rejected',
    channels: EVERYWHERE,
    to: order.buyerId,
    subject: `Order ${order.orderNo} could not be taken`,
    text: `We are sorry: order ${order.orderNo} for ${tickets(order.quantity)} could not be taken, its tickets are no longer there. Nothing is owed; what you have paid for it is sent back.`,
  };
}

/** Of the payment, not of the order: each of an order's payments may be declined. Undefined when nobody knows whose it is. */
export function paymentDeclinedNotification(payment: PaymentFailed): Notification | undefined {
  const { paymentId, orderNo, buyerId, amountMinor, currency } = payment;
  if (buyerId === undefined) return undefined;
  return {
    subjectId: paymentId,
    kind: 'payment-declined',
    channels: EVERYWHERE,
    to: buyerId,
    subject: `Order ${orderNo}: your payment was declined`,
    text: `Your payment of ${formatMinor(amountMinor, currency)} for order ${orderNo} was declined. No money has moved. You can try again for as long as the order is kept for you.`,
  };
}

/** A refund that leaves its order as it is; undefined for one that ends it, which `order.refunded` tells. */
export function paymentRefundedNotification(payment: PaymentRefunded): Notification | undefined {
  const { paymentId, orderNo, buyerId, amountMinor, currency, reason } = payment;
  if (buyerId === undefined || (reason !== 'paid-twice' && reason !== 'order-rejected')) return undefined;
  const amount = formatMinor(amountMinor, currency);
  const why = reason === 'paid-twice' ? 'had been paid already' : 'could not be taken';
  return {
    subjectId: paymentId,
    kind: 'payment-refunded',
    channels: EVERYWHERE,
    to: buyerId,
    subject: `Order ${orderNo}: ${amount} is on its way back`,
    text: `Order ${orderNo} ${why} when your payment came. We sent ${amount} back to you.`,
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
