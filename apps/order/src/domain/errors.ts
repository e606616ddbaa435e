import { DomainError } from '#libs/messaging';

/** To a consumer this means "not yet": the message that writes the order is still on its way. */
export const orderNotFound = (orderNo: string): DomainError =>
  new DomainError('ORDER_NOT_FOUND', 'not-found', `There is no order ${orderNo}.`);

export const orderNotCancellable = (orderNo: string, why: string): DomainError =>
  new DomainError('ORDER_NOT_CANCELLABLE', 'conflict', `The order ${orderNo} cannot be cancelled: ${why}.`);

/** Others kept changing the order while we tried to; the next delivery finds it settled. */
export const orderContested = (orderNo: string): DomainError =>
  new DomainError('ORDER_CONTESTED', 'transient', `The order ${orderNo} is being changed by others.`, 1_000);

/** A refund came before the payment that it sends back: another try finds the payment settled. */
export const paymentNotSeen = (orderNo: string): DomainError =>
  new DomainError('PAYMENT_NOT_SEEN', 'transient', `The refunded payment of ${orderNo} is on its way.`, 200);
