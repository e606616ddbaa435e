import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';

/** What a verified token says; nothing about it has been checked but that its issuer said so. */
export type Claims = Readonly<Record<string, unknown>>;

const MAX_TOKEN_CHARS = 8_192;
const MAX_KNOWN_HEADERS = 16;

/** Headers that were found to be fit; real issuers write one and the same on every token. */
const knownHeaders = new Set<string>();
const keys = new Map<string, KeyObject>();

/**
 * The claims of a compact JWS (RFC 7515) that is signed by HMAC-SHA256 under `secret`; undefined for
 * everything else.
 *
 * By hand, because every request to buy comes through here: WebCrypto, and with it every library, passes
 * each signature to a thread and back, which costs ten times the HMAC. With one fixed algorithm there is
 * little left that could be got wrong: the header cannot choose anything, and the signature is compared
 * as text, so that it has one spelling only.
 */
export function verifyHs256(token: string, secret: string): Claims | undefined {
  if (token.length > MAX_TOKEN_CHARS) return undefined;
  const [header, payload, signature, ...more] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0)
    return undefined;
  const expected = createHmac('sha256', keyOf(secret)).update(`${header}.${payload}`).digest('base64url');
  if (!isSame(expected, signature) || !isFit(header)) return undefined;
  return objectIn(payload);
}

function keyOf(secret: string): KeyObject {
  if (secret === '') throw new TypeError('an empty secret proves nothing');
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const key = createSecretKey(Buffer.from(secret, 'utf8'));
  keys.set(secret, key);
  return key;
}

function isSame(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** `crit` would name extensions that have to be understood; none is. */
function isFit(header: string): boolean {
  if (knownHeaders.has(header)) return true;
  const fields = objectIn(header);
  if (fields?.['alg'] !== 'HS256' || 'crit' in fields) return false;
  if (knownHeaders.size < MAX_KNOWN_HEADERS) knownHeaders.add(header);
  return true;
}

function objectIn(base64url: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64url, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined;
  } catch {
    // Not JSON: not a token of ours, whoever signed it.
    return undefined;
  }
}
