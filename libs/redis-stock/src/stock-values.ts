/** What identifies an order's stock. */
export type StockOrder = { orderNo: string; quantity: number; buyerId: string };
/** `reacquired`: the order had been rolled back and owns its tickets again. */
export type SoldOrder = StockOrder & { reacquired?: boolean };

export type Reservation = {
  orderNo: string;
  /** Numbers under which the same request may have been taken (`otherOrderNosFor`). */
  otherOrderNos?: readonly string[];
  ticketTypeId: string;
  buyerId: string;
  quantity: number;
  /** When, by the clock of Redis; now unless given. */
  nowMs?: number;
  /** How long the hold waits to be claimed. */
  holdTimeoutMs: number;
};

/**
 * `held` nobody has written the order yet; `claimed` the order service is writing it; `sold` the
 * ledger has recorded it; `reacquired` sold again after a cancellation; `released` given back.
 */
export type HoldState = 'held' | 'claimed' | 'sold' | 'reacquired' | 'released';

/** Why nothing was reserved. `not-ready`: the counters are not verified since Redis started; ask again soon. */
export type ReserveRefusal =
  'sold-out' | 'limit-exceeded' | 'sale-not-open' | 'sale-over' | 'unknown-ticket-type' | 'not-ready';
export type ReserveAnswer =
  | {
      /** `replayed`: the request was reserved before, whatever became of it since. */
      outcome: 'reserved' | 'replayed';
      /** Under which it was reserved. */
      orderNo: string;
      /** Orders accepted before this one and not yet written, itself included; 0 once it is written. */
      position: number;
      state: HoldState;
      unitPriceMinor: number;
      currency: string;
      /** When its session begins at the latest. */
      saleClosesAtMs: number;
    }
  | { outcome: ReserveRefusal };

/** A hold as it is stored. `heldAtMs`: when it was made, or found in the ledger. `dueMs`: when it expires while `held`, when it was given back if `released`; else 0. */
export type StoredHold = StockOrder & { state: HoldState; heldAtMs: number; dueMs: number };

export type ClaimAnswer = 'claimed' | 'already-claimed' | 'gone';
/** `adopted`: Redis did not know the order; its tickets came out of free. `released`: rolled back since, and left so. */
export type MarkSoldAnswer = 'marked' | 'already-sold' | 'released' | 'adopted';
/**
 * `rollback` the order is cancelled. `refused` the ledger had no stock for it. `unclaimed` it was
 * certainly never sent; the buyer may try again under the same number. `abandoned` nobody will ever
 * send it, not even a caller who asked for it again meanwhile.
 */
export type ReleaseCause = 'rollback' | 'refused' | 'unclaimed' | 'abandoned';
/** `kept`: the hold is in a state that this cause must not end. */
export type ReleaseAnswer = 'released' | 'already-released' | 'kept' | 'unknown';
/** `not-enough`: too few tickets are free, or the buyer has used up the limit since. `sale-over`: paid after the sale, or told after the session began. */
export type ReacquireAnswer = 'reacquired' | 'not-enough' | 'not-released-yet' | 'gone' | 'sale-over';

/** free + held + sold = initial. */
export type StockCounters = {
  initial: number;
  /** Negative only after Redis lost reservations, until they are sorted out. */
  free: number;
  held: number;
  sold: number;
  /** Orders reserved so far. */
  accepted: number;
  /** Those of them that were claimed or released. */
  settled: number;
  unitPriceMinor: number;
  currency: string;
  perUserLimit: number;
  saleOpensAtMs: number;
  saleClosesAtMs: number;
  /** Run id of the Redis for which the counters were last verified. */
  epoch: string;
};

export type HoldView = StockOrder & {
  ticketTypeId: string;
  state: HoldState;
  heldAtMs: number;
  /** When an unclaimed hold is released; undefined in all other states. */
  expiresAtMs: number | undefined;
  position: number;
  unitPriceMinor: number;
  currency: string;
};

/** An order as the ledger in Postgres knows it. A released one may be re-acquired, one that has `ended` never owns tickets again. */
export type LedgerOrder = StockOrder & {
  standing: 'sold' | 'reacquired' | 'released' | 'ended';
  atMs: number;
};

/** A ticket type as the ledger in Postgres knows it. Released orders are needed for the last day only. */
export type TicketTypeSnapshot = {
  ticketTypeId: string;
  initial: number;
  unitPriceMinor: number;
  currency: string;
  perUserLimit: number;
  saleOpensAtMs: number;
  /** From this moment on nothing is sold, nor taken again for what is paid later. */
  saleClosesAtMs: number;
  /** From this moment on nothing is taken again for any payment; the end of the sale, unless given. */
  startsAtMs?: number;
  orders: readonly LedgerOrder[];
};

type Sums = { initial: number; free: number; held: number; sold: number };
export type RebuildResult = {
  /** Undefined when there were no counters. */
  before: Sums | undefined;
  after: Sums;
};

/** The counters beside what the holds add up to; the latter is undefined when there are too many to look at. */
export type StockAudit = Sums & {
  holds: { held: number; sold: number; charged: number } | undefined;
};
