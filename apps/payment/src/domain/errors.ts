import { DomainError } from '#libs/messaging';

export const orderNotPayable = (orderNo: string): DomainError =>
  new DomainError('ORDER_NOT_PAYABLE', 'conflict', `The order ${orderNo} has been paid.`);

export const paymentNotFound = (paymentId: string): DomainError =>
  new DomainError('PAYMENT_NOT_FOUND', 'not-found', `There is no payment ${paymentId}.`);

/** Others kept changing the payment while we tried to; another try finds it settled. */
export const paymentContested = (subject: string): DomainError =>
  new DomainError('PAYMENT_CONTESTED', 'transient', `${subject} is being changed by others.`, 1_000);

/** A refund of money that we do not hold (yet): the webhook that says so is being written. */
export const paymentNotCaptured = (paymentId: string): DomainError =>
  new DomainError('PAYMENT_NOT_CAPTURED', 'transient', `The payment ${paymentId} is not captured.`, 1_000);
