import { z } from 'zod';
import { ReconciliationConfig } from '#libs/service-kit';

/** Injection token of the parsed `OrderConfig`. */
export const ORDER_CONFIG = Symbol('ORDER_CONFIG');

/** What the order service reads beside the `ServiceConfig` of every service. */
export const OrderConfig = ReconciliationConfig.extend({
  /** How long a written order waits for its payment. At most the longest delay that makes sense, 30 days. */
  PAYMENT_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1)
    .max(30 * 86_400_000)
    .default(1_800_000),
});
export type OrderConfig = z.output<typeof OrderConfig>;
