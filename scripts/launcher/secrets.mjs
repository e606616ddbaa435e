import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NAMES = [
  'jwtSecret',
  'identitySecret',
  'paymentWebhookSecret',
  'brokerToken',
  'postgresPassword',
  'orderDbPassword',
  'stockDbPassword',
  'paymentDbPassword',
  'notificationDbPassword',
  'opsDbPassword',
];

/** The secrets of this data directory: made once, kept in a file only its owner can read, beside the broker's address. */
export function loadSecrets(dir, brokerUrl) {
  const path = join(dir, 'secrets.json');
  const secrets = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
  // Buyers' ids are made with this one: it stays what JWT_SECRET was when the shop began, however often that changes.
  secrets.identitySecret =
    process.env.IDENTITY_SECRET || (secrets.identitySecret ?? secrets.jwtSecret ?? process.env.JWT_SECRET);
  for (const name of NAMES) secrets[name] ??= randomBytes(32).toString('hex');
  if (process.env.JWT_SECRET) secrets.jwtSecret = process.env.JWT_SECRET;
  if (process.env.PAYMENT_WEBHOOK_SECRET) secrets.paymentWebhookSecret = process.env.PAYMENT_WEBHOOK_SECRET;
  if (process.env.BROKER_TOKEN) secrets.brokerToken = process.env.BROKER_TOKEN;
  secrets.brokerUrl = brokerUrl;
  writeFileSync(path, JSON.stringify(secrets, null, 2) + '\n', { mode: 0o600 });
  return secrets;
}
