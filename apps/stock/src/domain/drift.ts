/** What Redis and the ledger say of one ticket type. */
export type Books = {
  redis: {
    initial: number;
    free: number;
    held: number;
    sold: number;
    /** What the holds add up to, when they were looked at. */
    holds: { held: number; sold: number; charged: number } | undefined;
  };
  ledger: { quantity: number; sold: number };
};

/**
 * By how much each pair of numbers differs that should be equal; all zero when the books agree.
 *
 *     sold       Redis' sold − the ledger's. Not zero for a moment after every movement.
 *     balance    free + held + sold − quantity
 *     holds      largest difference between a counter and what the holds add up to
 */
export type Drift = { sold: number; balance: number; holds: number };

export function driftOf({ redis, ledger }: Books): Drift {
  const { free, held, sold, holds } = redis;
  return {
    sold: sold - ledger.sold,
    balance: free + held + sold - ledger.quantity,
    holds: holds
      ? Math.max(
          Math.abs(holds.held - held),
          Math.abs(holds.sold - sold),
          Math.abs(holds.charged - held - sold),
        )
      : 0,
  };
}

export const isDrift = (drift: Drift): boolean => sizeOf(drift) > 0;

/** Tickets that are wrong at worst. */
export const sizeOf = ({ sold, balance, holds }: Drift): number =>
  Math.max(Math.abs(sold), Math.abs(balance), holds);

/** Whether a drift stayed as it was: one that moves is a movement on its way. */
export const isSameDrift = (one: Drift | undefined, other: Drift): boolean =>
  one?.sold === other.sold && one.balance === other.balance && one.holds === other.holds;
