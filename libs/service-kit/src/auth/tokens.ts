import type { webcrypto } from 'node:crypto';
import { jwtVerify, SignJWT, errors } from 'jose';
import { HttpProblem } from '../problem/problem.js';

/** Who sends a request, as its token says. */
export type User = { userId: string; roles: readonly string[] };

/** The only algorithm, fixed on both sides: a token that names another one is refused whatever it says. */
const ALGORITHM = 'HS256';
const MAX_SUBJECT_CHARS = 128;
/** Two machines' clocks may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 5;

/** The key of a secret, imported once: importing costs more than verifying. */
const keys = new Map<string, Promise<webcrypto.CryptoKey>>();

function keyOf(secret: string): Promise<webcrypto.CryptoKey> {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const key = crypto.subtle.importKey(
    'raw',
    new TextEncoder().encode(secret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign', 'verify'],
  );
  keys.set(secret, key);
  return key;
}

export async function signToken(
  claims: { sub: string; roles: readonly string[]; expiresInSeconds: number },
  secret: string,
): Promise<string> {
  return new SignJWT({ roles: [...claims.roles] })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(claims.sub)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + claims.expiresInSeconds)
    .sign(await keyOf(secret));
}

/** @throws {HttpProblem} 401 `UNAUTHENTICATED` when the token is forged, expired or names nobody. */
export async function verifyToken(token: string, secret: string): Promise<User> {
  const key = await keyOf(secret);
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['sub'],
    });
    const { sub, roles } = payload;
    if (sub === undefined || sub === '' || sub.length > MAX_SUBJECT_CHARS) {
      throw unauthenticated('The token names nobody.');
    }
    return {
      userId: sub,
      roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
    };
  } catch (error) {
    if (error instanceof HttpProblem) throw error;
    if (error instanceof errors.JWTExpired) throw unauthenticated('The token has expired.', error);
    throw unauthenticated('The token is not valid.', error);
  }
}

export function unauthenticated(detail: string, cause?: unknown): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', detail, { 'www-authenticate': 'Bearer' }, { cause });
}
