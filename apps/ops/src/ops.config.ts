import { z } from 'zod';
import { milliseconds } from '#libs/service-kit';

/** What ops reads beside `ServiceConfig`. */
export const OpsConfig = z.object({
  /** A group with this many dead letters raises an alert. */
  DEAD_LETTER_ALERT_COUNT: z.coerce.number().int().min(1).default(1),
  /** Or this share of dead letters among all that it settled, 0 to 1. Unset: only the count. */
  DEAD_LETTER_ALERT_RATIO: z.coerce.number().gt(0).max(1).optional(),
  /** How often the groups are looked at, beside each time that a dead letter arrives. */
  ALERT_INTERVAL_MS: milliseconds({ min: 100 }).default(10_000),
  /** Gets a POST when an alert fires and when it is resolved. Unset: log, metric and control room only. */
  ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** The pace of a redrive by filter. */
  REDRIVE_PER_SECOND: z.coerce.number().int().min(1).max(10_000).default(200),
});
export type OpsConfig = z.output<typeof OpsConfig>;

/** Injection token of the parsed `OpsConfig`. */
export const OPS_CONFIG = Symbol('OPS_CONFIG');
