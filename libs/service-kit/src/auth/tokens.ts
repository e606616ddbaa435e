import { createHmac } from 'node:crypto';
import { createSigner, createVerifier, TokenError } from 'fast-jwt';
import { HttpProblem } from '../problem/problem.js';

/** Who sends a request, as its token says. */
export type User = { userId: string; roles: readonly string[] };

/** The only algorithm, fixed on both sides: a token that names another one is refused whatever it says. */
const ALGORITHM = 'HS256';
/**
 * A token lives at most so long: what was stolen or leaked ends some day. Three times the longest sign-in, since others
 * mint tokens too.
 */
export const MAX_TOKEN_LIFE_SECONDS = 90 * 86_400;
const MAX_SUBJECT_CHARS = 128;
/** Postgres stores no NUL and no lone surrogate: an order of such a buyer could be accepted and never written. */
const UNSTORABLE = /[\p{Cc}\p{Cs}]/u;
/** Two machines' clocks may differ by this much. */
const CLOCK_TOLERANCE_MS = 5_000;
/** Longer ones are refused unread. */
const MAX_TOKEN_CHARS = 8_192;

type Key = { kid: string; verify: (token: string) => unknown };
/** By secret; a process knows its few, and tests a handful. */
const keys = new Map<string, Key>();

/** @param secret `JWT_SECRET`; its `kid` is in the token's header, so that verifiers with several need not try all. */
export function signToken(
  claims: { sub: string; roles: readonly string[]; expiresInSeconds: number },
  secret: string,
): string {
  const sign = createSigner({ algorithm: ALGORITHM, key: secret, sub: claims.sub, kid: keyOf(secret).kid });
  return sign({ roles: claims.roles, exp: Math.floor(Date.now() / 1000) + claims.expiresInSeconds });
}

/**
 * Synchronous on purpose: an HMAC takes a few microseconds, sending it to a thread and back ten times that,
 * and every request to buy comes through here.
 *
 * @param secrets `JWT_SECRET` first, then the older ones that still hold. A token whose `kid` is none of theirs (others
 * mint tokens too, and need name none) may be signed with any.
 * @throws {HttpProblem} 401 `UNAUTHENTICATED` when the token is forged, expired, lives too long or names nobody.
 */
export function verifyToken(token: string, secrets: readonly string[]): User {
  if (token.length > MAX_TOKEN_CHARS) throw unauthenticated('The token is not valid.');
  const claims = claimsOf(token, secrets);
  if (livesTooLong(claims)) {
    throw unauthenticated(`The token is valid for more than ${MAX_TOKEN_LIFE_SECONDS / 86_400} days.`);
  }
  const { sub, roles } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_CHARS || UNSTORABLE.test(sub)) {
    throw unauthenticated('The token names nobody.');
  }
  return {
    userId: sub,
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  };
}

function claimsOf(token: string, secrets: readonly string[]): Record<string, unknown> {
  let refusal: unknown;
  for (const { verify } of candidates(token, secrets)) {
    try {
      return verify(token) as Record<string, unknown>;
    } catch (cause) {
      // Whatever else is wrong with it, another secret does not mend.
      refusal = cause;
      if (!(cause instanceof TokenError && cause.code === TokenError.codes.invalidSignature)) break;
    }
  }
  throw unauthenticated(refusal instanceof TokenError ? refusal.message : 'The token is not valid.');
}

function candidates(token: string, secrets: readonly string[]): readonly Key[] {
  const all = secrets.map(keyOf);
  if (all.length === 1) return all;
  const kid = kidOf(token);
  const named = all.find((key) => key.kid === kid);
  return named === undefined ? all : [named];
}

function kidOf(token: string): unknown {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString());
    return typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined;
  } catch {
    // Not a token at all; the verifier says so.
    return undefined;
  }
}

/** From when it was issued, where it says so, else from now. Seconds since 1970, as in the token. */
function livesTooLong({ exp, iat }: Record<string, unknown>): boolean {
  const now = (Date.now() + CLOCK_TOLERANCE_MS) / 1000;
  const bornAt = typeof iat === 'number' ? Math.min(iat, now) : now;
  return Number(exp) - bornAt > MAX_TOKEN_LIFE_SECONDS;
}

function keyOf(secret: string): Key {
  let key = keys.get(secret);
  if (key === undefined) {
    key = {
      kid: createHmac('sha256', secret).update('stampede kid').digest('base64url').slice(0, 11),
      verify: createVerifier({
        key: secret,
        algorithms: [ALGORITHM],
        clockTolerance: CLOCK_TOLERANCE_MS,
        requiredClaims: ['exp'],
      }),
    };
    keys.set(secret, key);
  }
  return key;
}

export function unauthenticated(detail: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', detail, { 'www-authenticate': 'Bearer' });
}
