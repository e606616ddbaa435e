import type { StoredHold } from '#libs/redis-stock';
import type { Finding } from '../finding.js';

/** An order's row, as far as its hold must agree with it. */
export type HoldersOrder = { status: string; ticketTypeId: string; buyerId: string; quantity: number };

type Rule = Pick<Finding, 'check' | 'rule' | 'says'>;
const ORPHAN: Rule = { check: 'terms', rule: 'hold-without-order', says: 'holds of no order' };
const KEPT: Rule = {
  check: 'effects-once',
  rule: 'kept-in-redis',
  says: 'orders that hold no tickets but whose hold in Redis lives',
};
const GIVEN_BACK: Rule = {
  check: 'effects-once',
  rule: 'given-back-in-redis',
  says: 'orders that stand and whose hold in Redis was given back',
};
const DIFFERENT: Rule = {
  check: 'effects-once',
  rule: 'another-hold-in-redis',
  says: 'holds of another ticket type, buyer or quantity than their order',
};
/** Added by whoever counts both: orders that stand, and holds of such. */
export const MISSING: Rule = {
  check: 'effects-once',
  rule: 'missing-in-redis',
  says: 'orders that stand without a hold in Redis',
};

export const isStanding = ({ status }: HoldersOrder): boolean =>
  status === 'PENDING_PAYMENT' || status === 'PAID';

/**
 * What a hold breaks, if anything. Each order has moved once in Redis too: its hold lives as long as it stands.
 * (Whether a living hold counts as held or sold, the sums tell.) A released hold needs no order: its buyer was
 * never told anything, or was told of a failure.
 */
export function brokenBy(
  hold: StoredHold,
  ticketTypeId: string,
  order: HoldersOrder | undefined,
): Rule | undefined {
  const lives = hold.state !== 'released';
  if (order === undefined) return lives ? ORPHAN : undefined;
  if (isStanding(order) !== lives) return lives ? KEPT : GIVEN_BACK;
  const agrees =
    order.ticketTypeId === ticketTypeId && order.buyerId === hold.buyerId && order.quantity === hold.quantity;
  return agrees ? undefined : DIFFERENT;
}
