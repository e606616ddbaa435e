/** Run id of the Redis whose counters are all verified. */
export const EPOCH_KEY = 'stock:epoch';
/** Stands while a verification of all counters goes on; gone when Redis was emptied meanwhile. `attempt` keeps two of them apart. In the slot of `EPOCH_KEY`: one script touches both. */
export const verifyingKey = (attempt: string): string => `stock:verifying:{${EPOCH_KEY}}:${attempt}`;
/** Set of the ticket types that have counters, to tell an unknown ticket type from lost counters. */
export const TICKET_TYPES_KEY = 'stock:ticket-types';

export type StockKeys = {
  counter: string;
  holds: string;
  /** Unclaimed holds by expiry. */
  holdExpiry: string;
  buyers: string;
  /** Tombstones by the time of their release. */
  released: string;
  /** Where a rebuild collects the ledger's view; `attempt` keeps two of them apart. */
  staged(attempt: string): string;
};

/** A ticket type's keys. They share a hash tag, so that one script can touch them all on Redis Cluster. */
export function stockKeys(ticketTypeId: string): StockKeys {
  const prefix = `stock:{${ticketTypeId}}:`;
  return {
    counter: `${prefix}counter`,
    holds: `${prefix}holds`,
    holdExpiry: `${prefix}hold-expiry`,
    buyers: `${prefix}buyers`,
    released: `${prefix}released`,
    staged: (attempt) => `${prefix}staged:${attempt}`,
  };
}
