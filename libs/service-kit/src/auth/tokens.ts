import { createSigner, createVerifier, TokenError } from 'fast-jwt';
import { HttpProblem } from '../problem/problem.js';

/** Who sends a request, as its token says. */
export type User = { userId: string; roles: readonly string[] };

/** The only algorithm, fixed on both sides: a token that names another one is refused whatever it says. */
const ALGORITHM = 'HS256';
const MAX_SUBJECT_CHARS = 128;
/** Postgres stores no NUL and no lone surrogate: an order of such a buyer could be accepted and never written. */
const UNSTORABLE = /[\p{Cc}\p{Cs}]/u;
/** Two machines' clocks may differ by this much. */
const CLOCK_TOLERANCE_MS = 5_000;
/** Longer ones are refused unread. */
const MAX_TOKEN_CHARS = 8_192;

type Verify = (token: string) => unknown;
const verifiers = new Map<string, Verify>();

export function signToken(
  claims: { sub: string; roles: readonly string[]; expiresInSeconds: number },
  secret: string,
): string {
  const sign = createSigner({ algorithm: ALGORITHM, key: secret, sub: claims.sub });
  return sign({ roles: claims.roles, exp: Math.floor(Date.now() / 1000) + claims.expiresInSeconds });
}

/**
 * Synchronous on purpose: an HMAC takes a few microseconds, sending it to a thread and back ten times that,
 * and every request to buy comes through here.
 *
 * @throws {HttpProblem} 401 `UNAUTHENTICATED` when the token is forged, expired or names nobody.
 */
export function verifyToken(token: string, secret: string): User {
  if (token.length > MAX_TOKEN_CHARS) throw unauthenticated('The token is not valid.');
  let claims: unknown;
  try {
    claims = verifierOf(secret)(token);
  } catch (cause) {
    throw unauthenticated(cause instanceof TokenError ? cause.message : 'The token is not valid.');
  }
  const { sub, roles } = claims as Record<string, unknown>;
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_CHARS || UNSTORABLE.test(sub)) {
    throw unauthenticated('The token names nobody.');
  }
  return {
    userId: sub,
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  };
}

function verifierOf(secret: string): Verify {
  let verify = verifiers.get(secret);
  if (verify === undefined) {
    verify = createVerifier({ key: secret, algorithms: [ALGORITHM], clockTolerance: CLOCK_TOLERANCE_MS });
    verifiers.set(secret, verify);
  }
  return verify;
}

export function unauthenticated(detail: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', detail, { 'www-authenticate': 'Bearer' });
}
