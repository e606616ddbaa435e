import type { Attempt } from '#libs/messaging/port';

/** How often a record was delivered, and what came of it. A retried message is a new record, and brings its past with it. */
export type Tries = {
  readonly attempt: number;
  readonly history: readonly Attempt[];
  /** Deliveries, the last ones in a row, that ended without a verdict. */
  readonly lost: number;
};

export const FIRST_TRY: Tries = { attempt: 1, history: Object.freeze([]), lost: 0 };

/** A message that waits in its place for the next try. */
export type HeldBack = Tries & { readonly dueAtMs: number };
