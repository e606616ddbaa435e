import { z } from 'zod';
import { DEFAULT_PORTS, ReconciliationConfig, requireLongSecret } from '#libs/service-kit';

/** Injection token of the parsed `PaymentConfig`. */
export const PAYMENT_CONFIG = Symbol('PAYMENT_CONFIG');

const HttpUrl = z.url({ protocol: /^https?$/, error: 'must be an http:// URL' });
const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** What the payment service reads beside the `ServiceConfig` of every service. */
export const PaymentConfig = ReconciliationConfig.extend({
  NODE_ENV: z.string().default('development'),
  PORT: z.coerce
    .number()
    .int()
    .default(DEFAULT_PORTS.payment ?? 0),
  /** Shared with the provider: both sides of a webhook's signature. */
  PAYMENT_WEBHOOK_SECRET: z.string({ error: 'is required' }).min(1),
  /** Where the buyers' browsers reach the shop. Absent: the gateway says it with every request. */
  PUBLIC_URL: HttpUrl.transform(withoutSlash).optional(),
  /** The provider's API. Absent: the simulated provider in this process. */
  PROVIDER_URL: HttpUrl.transform(withoutSlash).optional(),
  /** Where the simulated provider sends its webhooks. Absent: the gateway of a local run, three ports below. */
  WEBHOOK_URL: HttpUrl.optional(),
})
  .superRefine((env, context) => {
    requireLongSecret('PAYMENT_WEBHOOK_SECRET', env, env.PAYMENT_WEBHOOK_SECRET, context);
  })
  .transform((env) => ({
    ...env,
    PROVIDER_URL: env.PROVIDER_URL ?? `http://127.0.0.1:${env.PORT}/api/provider`,
    WEBHOOK_URL: env.WEBHOOK_URL ?? `http://127.0.0.1:${env.PORT - 3}/api/payments/webhook`,
  }));
export type PaymentConfig = z.output<typeof PaymentConfig>;
