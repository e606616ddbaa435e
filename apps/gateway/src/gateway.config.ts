import proxyAddr from '@fastify/proxy-addr';
import { z } from 'zod';
import { isPhoneRegion } from './domain/phone.js';
import { DEFAULT_PORTS, listed, milliseconds, requireLongSecret } from '#libs/service-kit';

const upstream = (service: string) =>
  z
    .url({ protocol: /^https?$/, error: 'must be an http:// URL' })
    .default(`http://127.0.0.1:${DEFAULT_PORTS[service] ?? 0}`);

const count = ({ max }: { max: number }) => z.coerce.number().int().min(1).max(max);

function areNetworks(list: string[]): boolean {
  try {
    proxyAddr.compile(list);
    return true;
  } catch {
    // The caller says what is wrong with it, under the variable's name.
    return false;
  }
}

const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;

const Settings = z.object({
  NODE_ENV: z.string().default('development'),
  ORDER_URL: upstream('order'),
  STOCK_URL: upstream('stock'),
  PAYMENT_URL: upstream('payment'),
  NOTIFICATION_URL: upstream('notification'),
  OPS_URL: upstream('ops'),
  /** How long a request waits for the services behind the gateway, counted from its arrival. Reports (the verdict) may take longer. */
  UPSTREAM_TIMEOUT_MS: milliseconds({ min: 100, max: 60_000 }).default(5_000),
  /** How long a reservation waits to be sent to the order service; twice SUBMIT_TIMEOUT_MS at least. */
  HOLD_TIMEOUT_MS: milliseconds({ min: 1_000 }).default(600_000),
  /** Requests to buy that one user may send a second; 0 = off. */
  RATE_LIMIT_PER_USER: z.coerce.number().int().min(0).default(0),
  /** Requests to buy that may be in work at once. Beyond it a request costs as good as nothing and gets a 503. */
  MAX_IN_FLIGHT_ORDERS: z.coerce.number().int().min(1).default(4_000),
  /** How long an order may take to reach the broker before the buyer is told to ask again. */
  SUBMIT_TIMEOUT_MS: milliseconds({ min: 100, max: 60_000 }).default(3_000),
  /** Open event streams of all users. Each holds a socket. */
  MAX_EVENT_STREAMS: z.coerce.number().int().min(0).default(5_000),
  /** Open event streams of one user: a tab or two for every order they may have at once. */
  MAX_EVENT_STREAMS_PER_USER: z.coerce.number().int().min(1).default(20),
  /** Origins (`https://shop.example`) whose pages may use the API, separated by commas. */
  CORS_ORIGINS: z
    .string()
    .default('')
    .transform(listed)
    .pipe(z.array(z.string().refine(isOrigin, 'must be origins, such as https://shop.example')).max(100)),
  /** Makes user ids out of phones. Absent: the `JWT_SECRET` with which the first buyer signed in. Never changes. */
  IDENTITY_SECRET: z.string().optional(),
  /** Where phones without a country code are at home: ISO 3166, two letters. */
  PHONE_REGION: z
    .string()
    .default('DE')
    .refine(isPhoneRegion, 'must be the two letters of a country, such as DE'),
  /** How long a sign-in lasts. */
  SESSION_TTL_SECONDS: z.coerce
    .number()
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(86_400),
  /** How long a sign-in code is valid. */
  SIGN_IN_CODE_TTL_MS: milliseconds({ min: 1_000 }).default(300_000),
  /** Codes that are sent to one phone within the validity of one. */
  SIGN_IN_CODES_PER_PHONE: count({ max: 100 }).default(5),
  /** … and in a day. Each is guessed with a chance of ten in a million at most (`code-store.ts`). */
  SIGN_IN_CODES_PER_PHONE_PER_DAY: count({ max: 1_000 }).default(20),
  /** Codes that are sent for one address (IPv6: a /64), within the validity of one. */
  SIGN_IN_CODES_PER_ADDRESS: count({ max: 1_000_000 }).default(30),
  SIGN_IN_CODES_PER_ADDRESS_PER_DAY: count({ max: 1_000_000 }).default(300),
  /** Codes in a day that are sent to phones which differ in their last four digits only. */
  SIGN_IN_CODES_PER_PREFIX_PER_DAY: count({ max: 1_000_000 }).default(200),
  /** Codes in a day that are sent to phones of one country, other than `PHONE_REGION`. */
  SIGN_IN_CODES_PER_FOREIGN_COUNTRY_PER_DAY: count({ max: 100_000_000 }).default(2_000),
  /** Wrong codes that one address may enter within the validity of one. */
  SIGN_IN_WRONG_CODES_PER_ADDRESS: count({ max: 1_000_000 }).default(50),
  /** Proxies whose `X-Forwarded-For` is believed: addresses and networks (`10.0.0.0/8`), separated by commas; also `loopback`, `linklocal`, `uniquelocal`. */
  TRUSTED_PROXIES: z
    .string()
    .default('')
    .transform(listed)
    .pipe(z.array(z.string()).max(100))
    .refine(areNetworks, 'must be addresses or networks, such as 10.0.0.0/8'),
});

/** What the gateway reads beside `ServiceConfig`. */
export const GatewayConfig = Settings.superRefine((env, context) => {
  const secret = env.IDENTITY_SECRET;
  if (secret !== undefined) requireLongSecret('IDENTITY_SECRET', env, secret, context);
});
export type GatewayConfig = z.output<typeof GatewayConfig>;

/** Injection token of the parsed `GatewayConfig`. */
export const GATEWAY_CONFIG = Symbol('GATEWAY_CONFIG');
