import { DomainError } from '#libs/messaging';

export const INTENT_STATUSES = ['OPEN', 'CAPTURED', 'DECLINED', 'REFUNDED'] as const;
export type IntentStatus = (typeof INTENT_STATUSES)[number];
export type CheckoutOutcome = 'succeed' | 'fail';

/**
 * What a buyer's click at the checkout does. `undefined`: nothing more, it has been done (a double click).
 * A declined buyer may try again; captured money cannot be declined any more.
 *
 * @throws {DomainError} `PAYMENT_ALREADY_CAPTURED`.
 */
export function checkOut(
  status: IntentStatus,
  outcome: CheckoutOutcome,
): 'CAPTURED' | 'DECLINED' | undefined {
  switch (status) {
    case 'OPEN':
      return outcome === 'succeed' ? 'CAPTURED' : 'DECLINED';
    case 'DECLINED':
      return outcome === 'succeed' ? 'CAPTURED' : undefined;
    case 'CAPTURED':
    case 'REFUNDED':
      if (outcome === 'succeed') return undefined;
      throw new DomainError('PAYMENT_ALREADY_CAPTURED', 'conflict', 'The money has been captured.');
  }
}
