import { z } from 'zod';
import { milliseconds } from '#libs/service-kit';

/** Injection token of the parsed `StockConfig`. */
export const STOCK_CONFIG = Symbol('STOCK_CONFIG');

const IntervalMs = milliseconds({ min: 10 });

/** What the stock service reads beside the `ServiceConfig` of every service. */
export const StockConfig = z.object({
  /** How often expired unclaimed holds are released. How long a hold lasts is the gateway's HOLD_TIMEOUT_MS. */
  REAP_INTERVAL_MS: IntervalMs.default(1_000),
  /** How often it is checked that Redis is the one whose counters were verified. Bounds how long a sale stays closed after a restart of Redis. */
  VERIFY_INTERVAL_MS: IntervalMs.default(1_000),
  /** How often Redis is compared with the ledger. A drift is repaired when it is found twice in a row. */
  RECONCILE_INTERVAL_MS: IntervalMs.default(15_000),
  /** `true`: two shows are put on sale at the start when there are none. */
  SEED_SHOWS: z.stringbool().default(false),
});
export type StockConfig = z.output<typeof StockConfig>;
