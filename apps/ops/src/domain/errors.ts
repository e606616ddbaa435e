import { DomainError } from '#libs/messaging';

export const deadLetterNotFound = (id: string) =>
  new DomainError('DEAD_LETTER_NOT_FOUND', 'not-found', `There is no dead letter ${id}.`);

/** Somebody redrove or discarded it first. */
export const deadLetterResolved = (id: string) =>
  new DomainError('DEAD_LETTER_RESOLVED', 'conflict', `Dead letter ${id} was redriven or discarded already.`);

export const groupNotFound = (group: string) =>
  new DomainError('GROUP_NOT_FOUND', 'not-found', `There is no group ${group}.`);

export const invalidCursor = () =>
  new DomainError('INVALID_REQUEST', 'invalid', 'cursor: not one that an earlier page gave.');
