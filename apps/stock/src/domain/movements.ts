import { contradiction, rollbackNotSeen } from './errors.js';

/** Rows of the ledger, at most one of each per order. */
export const MOVEMENTS = ['DEDUCT', 'CONFIRM', 'ROLLBACK', 'REACQUIRE', 'REFUSED', 'RETURN'] as const;
export type Movement = (typeof MOVEMENTS)[number];
/** What the ledger knows of one order. */
export type Recorded = ReadonlySet<Movement>;

/** What became of an order, as far as its stock is concerned. */
export type OrderFact = 'created' | 'paid' | 'paid-after-cancellation' | 'cancelled' | 'refunded';

/**
 * Where an order stands. `sold` and `reacquired` own their tickets; `refused` and `returned` are final. A paid
 * order whose money was sent back, wherever it stands, is `returned`.
 *
 *     unknown ──> sold ──> rolled-back ──> reacquired ──> returned
 *        └──> refused <────────┘
 */
export type Standing = 'unknown' | 'sold' | 'rolled-back' | 'reacquired' | 'refused' | 'returned';

export function standingOf(recorded: Recorded): Standing {
  if (recorded.has('RETURN')) return 'returned';
  if (recorded.has('REACQUIRE')) return 'reacquired';
  if (recorded.has('REFUSED')) return 'refused';
  if (recorded.has('ROLLBACK')) return 'rolled-back';
  if (recorded.has('DEDUCT')) return 'sold';
  return 'unknown';
}

export type Decision = {
  append: readonly Movement[];
  /** Added to the ticket type's `sold`. */
  soldDelta: number;
};

const NOTHING: Decision = { append: [], soldDelta: 0 };

/**
 * What a fact does to the ledger. The facts reach different consumer groups and therefore come in any
 * order, and again: every one is enough to record what it implies, and does nothing the second time.
 *
 *     cancelled, then created   DEDUCT ROLLBACK by the first, nothing by the second
 *     paid, then created        DEDUCT CONFIRM by the first, nothing by the second
 *     created when sold out     REFUSED; whatever follows changes nothing any more
 *
 * @param free tickets that the ledger has left
 * @throws {DomainError} see errors.ts
 */
export function decide(fact: OrderFact, recorded: Recorded, quantity: number, free: number): Decision {
  const standing = standingOf(recorded);
  switch (fact) {
    case 'created':
      return standing === 'unknown' ? take(['DEDUCT'], quantity, free) : NOTHING;
    case 'paid':
      if (standing === 'unknown') return take(['DEDUCT', 'CONFIRM'], quantity, free);
      if (standing === 'rolled-back') throw contradiction('the order is paid, but its stock was rolled back');
      return confirm(standing, recorded);
    case 'paid-after-cancellation':
      if (standing === 'unknown' || standing === 'sold') throw rollbackNotSeen();
      if (standing === 'rolled-back') return take(['REACQUIRE', 'CONFIRM'], quantity, free);
      return confirm(standing, recorded);
    case 'cancelled':
      // Both at once: nothing is taken and nothing is given back, so it fits whatever is left.
      if (standing === 'unknown') return { append: ['DEDUCT', 'ROLLBACK'], soldDelta: 0 };
      if (standing !== 'sold') return NOTHING;
      if (recorded.has('CONFIRM')) throw contradiction('the order is cancelled, but its stock was confirmed');
      return { append: ['ROLLBACK'], soldDelta: -quantity };
    case 'refunded':
      return giveBack(standing, quantity);
  }
}

function take(append: readonly Movement[], quantity: number, free: number): Decision {
  return quantity <= free ? { append, soldDelta: quantity } : { append: ['REFUSED'], soldDelta: 0 };
}

/** The rows of an order add up to nothing then, also where the payment that took its tickets is still to come. */
function giveBack(standing: Standing, quantity: number): Decision {
  switch (standing) {
    case 'unknown':
      return { append: ['DEDUCT', 'RETURN'], soldDelta: 0 };
    case 'rolled-back':
      return { append: ['REACQUIRE', 'RETURN'], soldDelta: 0 };
    case 'sold':
    case 'reacquired':
      return { append: ['RETURN'], soldDelta: -quantity };
    case 'refused':
    case 'returned':
      return NOTHING;
  }
}

function confirm(standing: Standing, recorded: Recorded): Decision {
  if (standing === 'refused' || standing === 'returned' || recorded.has('CONFIRM')) return NOTHING;
  return { append: ['CONFIRM'], soldDelta: 0 };
}
