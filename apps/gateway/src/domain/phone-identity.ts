import { createHmac, hkdfSync, randomInt } from 'node:crypto';
import { digitsOf } from './phone.js';

const USER_ID_CHARS = 26;
const LANE_CHARS = 32;
const CODE_DIGITS = 6;

/**
 * Keys for several purposes out of one secret; none tells anything about another, or about a token's signature.
 * The fingerprint is no key: it says which secret it was.
 */
export type IdentityKeys = { userIds: Buffer; codes: Buffer; fingerprint: string };

export function identityKeysOf(secret: string): IdentityKeys {
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, '', `stampede ${purpose}`, 32));
  return {
    userIds: derive('user ids'),
    codes: derive('sign-in codes'),
    fingerprint: derive('identity fingerprint').toString('hex'),
  };
}

/**
 * The user behind a phone (E.164): always the same, without a table of users, and without the number
 * being readable (or, for whoever lacks the key, guessable) in orders, logs and messages.
 */
export function userIdOf(phone: string, keys: IdentityKeys): string {
  return `u${createHmac('sha256', keys.userIds).update(digitsOf(phone)).digest('hex').slice(0, USER_ID_CHARS)}`;
}

/** What is stored of a code. Under a key, because six digits can be tried out against a plain hash in no time. */
export function codeHashOf(phone: string, code: string, keys: IdentityKeys): string {
  return createHmac('sha256', keys.codes)
    .update(`${digitsOf(phone)}:${code}`)
    .digest('hex');
}

/** One phone seen from one address; tells neither. */
export function laneOf(phone: string, address: string, keys: IdentityKeys): string {
  return createHmac('sha256', keys.codes)
    .update(`${digitsOf(phone)}@${address}`)
    .digest('hex')
    .slice(0, LANE_CHARS);
}

/** Six digits, every combination as likely as any other. */
export function newCode(): string {
  return randomInt(10 ** CODE_DIGITS)
    .toString()
    .padStart(CODE_DIGITS, '0');
}
