import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from './prepare.mjs';
import { readObject, writeWhole } from './state-files.mjs';

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

/**
 * The secrets of this data directory: made once, kept in a file only its owner can read, beside the broker's address.
 * Data that is there without them is not given new ones: PostgreSQL has been made with its password, and what
 * else is kept may have been made with others.
 */
export function loadSecrets(dir, brokerUrl) {
  const path = join(dir, 'secrets.json');
  const kept = readObject(path);
  if (kept === undefined && hasData(dir)) {
    throw new Refusal(
      `${path} is ${existsSync(path) ? 'empty or damaged' : 'missing'}, and the data beside it needs it: ` +
        'put back a copy of it, or start anew with --reset.',
    );
  }
  const secrets = kept ?? {};
  // Buyers' ids are made with this one: it stays what JWT_SECRET was when the shop began, however often that changes.
  secrets.identitySecret =
    process.env.IDENTITY_SECRET || (secrets.identitySecret ?? secrets.jwtSecret ?? process.env.JWT_SECRET);
  for (const name of NAMES) secrets[name] ??= randomBytes(32).toString('hex');
  if (process.env.JWT_SECRET) secrets.jwtSecret = process.env.JWT_SECRET;
  if (process.env.PAYMENT_WEBHOOK_SECRET) secrets.paymentWebhookSecret = process.env.PAYMENT_WEBHOOK_SECRET;
  if (process.env.BROKER_TOKEN) secrets.brokerToken = process.env.BROKER_TOKEN;
  secrets.brokerUrl = brokerUrl;
  writeWhole(path, JSON.stringify(secrets, null, 2) + '\n');
  return secrets;
}

/** What the stores make when they first run. Folders alone, or what is on a disk of its own, are none. */
const hasData = (dir) =>
  existsSync(join(dir, 'postgres', 'data')) ||
  existsSync(join(dir, 'redis', 'appendonlydir')) ||
  existsSync(join(dir, 'broker', 'journal'));
