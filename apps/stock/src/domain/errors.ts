import { DomainError } from '#libs/messaging';

/** Retried: the show may be on its way from another instance. */
export const ticketTypeNotFound = (ticketTypeId: string): DomainError =>
  new DomainError('TICKET_TYPE_NOT_FOUND', 'not-found', `there is no ticket type ${ticketTypeId}`);

/** Retried: the rollback that the order's new life follows is not recorded yet. */
export const rollbackNotSeen = (): DomainError =>
  new DomainError('ROLLBACK_NOT_SEEN', 'not-found', 'stock cannot be re-acquired before it was rolled back');

/** Dead-lettered: paid and cancelled exclude each other, so one of the two messages is wrong. */
export const contradiction = (detail: string): DomainError =>
  new DomainError('STOCK_CONTRADICTION', 'invalid', detail);

export const alreadyBegun = (startsAt: string): DomainError =>
  new DomainError('INVALID_REQUEST', 'invalid', `body: what begins at ${startsAt} has begun already`);
