import { Redis } from 'ioredis';
import type { Logger } from 'pino';

const CONNECT_TIMEOUT_MS = 2_000;
const MAX_RECONNECT_DELAY_MS = 500;

export type RedisOptions = {
  url: string;
  name: string;
  logger: Logger;
  /**
   * After this long without an answer a command fails, and may have run all the same. Absent: it waits
   * for as long as the connection stands, which a Redis that hangs can hold open for a quarter of an hour.
   */
  commandTimeoutMs?: number | undefined;
};

/**
 * The service's Redis connection. It reconnects for as long as the process lives, while a command
 * fails after one lost connection: a buyer gets a 503 at once instead of an answer nobody waits for.
 *
 * Commands issued in the same tick share one write (auto-pipelining).
 */
export function openRedis(options: RedisOptions): Redis {
  const redis = new Redis(options.url, {
    connectionName: `stampede-${options.name}`,
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableAutoPipelining: true,
    maxRetriesPerRequest: 1,
    // A script whose answer was lost may have run; sending it again is the caller's decision.
    autoResendUnfulfilledCommands: false,
    ...(options.commandTimeoutMs !== undefined && { commandTimeout: options.commandTimeoutMs }),
    retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 10), MAX_RECONNECT_DELAY_MS),
  });
  let lost = false;
  redis.on('error', (error: Error) => {
    if (!lost) options.logger.warn({ err: error }, 'Redis cannot be reached; reconnecting');
    lost = true;
  });
  redis.on('ready', () => {
    if (lost) options.logger.info('Redis is back');
    lost = false;
  });
  return redis;
}
