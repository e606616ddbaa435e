import { isDatabaseUnavailable } from '../database/database-error.js';
import { isRedisFailure } from '../redis/redis-failures.js';

/** Codes under which sockets and the proxy report that their other side is away. */
const UNAVAILABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'FST_REPLY_FROM_SERVICE_UNAVAILABLE',
  'FST_REPLY_FROM_GATEWAY_TIMEOUT',
]);

/**
 * Whether something that this service stands on is away (its database, Redis, another service), so that the
 * same work may succeed a moment later. One answer for both tables: a request gets 503, a consumer pauses.
 */
export function isDependencyAway(error: unknown): boolean {
  if (isDatabaseUnavailable(error) || isRedisFailure(error)) return true;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && UNAVAILABLE_CODES.has(code);
}
