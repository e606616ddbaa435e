import { SignJWT } from 'jose';
import { HttpProblem } from '../problem/problem.js';
import { verifyHs256 } from './hs256.js';

/** Who sends a request, as its token says. */
export type User = { userId: string; roles: readonly string[] };

/** The only algorithm, fixed on both sides: a token that names another one is refused whatever it says. */
const ALGORITHM = 'HS256';
const MAX_SUBJECT_CHARS = 128;
/** Two machines' clocks may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 5;

export async function signToken(
  claims: { sub: string; roles: readonly string[]; expiresInSeconds: number },
  secret: string,
): Promise<string> {
  return new SignJWT({ roles: [...claims.roles] })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(claims.sub)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + claims.expiresInSeconds)
    .sign(new TextEncoder().encode(secret));
}

/** @throws {HttpProblem} 401 `UNAUTHENTICATED` when the token is forged, expired or names nobody. */
export async function verifyToken(token: string, secret: string): Promise<User> {
  const claims = verifyHs256(token, secret);
  if (claims === undefined) throw unauthenticated('The token is not valid.');
  const { sub, roles, exp, nbf } = claims;
  const nowSeconds = Date.now() / 1000;
  if (exp !== undefined && !(typeof exp === 'number' && nowSeconds < exp + CLOCK_TOLERANCE_SECONDS)) {
    throw unauthenticated('The token has expired.');
  }
  if (nbf !== undefined && !(typeof nbf === 'number' && nowSeconds >= nbf - CLOCK_TOLERANCE_SECONDS)) {
    throw unauthenticated('The token is not valid yet.');
  }
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_CHARS) {
    throw unauthenticated('The token names nobody.');
  }
  return {
    userId: sub,
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  };
}

export function unauthenticated(detail: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', detail, { 'www-authenticate': 'Bearer' });
}
