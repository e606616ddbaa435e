import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { isOfReplica, logRefusal, logUnreachable } from './redis-failures.js';

const CONNECT_TIMEOUT_MS = 2_000;
const FIRST_RECONNECT_DELAY_MS = 50;
const MAX_RECONNECT_DELAY_MS = 500;
/** Somebody waits for every answer, a buyer or a batch. A rebuild of 100,000 holds keeps Redis busy for a second. */
const COMMAND_TIMEOUT_MS = 3_000;
/**
 * A connection that owes an answer and has said nothing for so long is thrown away: its packets may be
 * going nowhere, which neither side is told for a quarter of an hour. Sooner than a command's own end, so
 * that what waits behind the one without an answer goes out on the next connection.
 */
const SILENCE_TIMEOUT_MS = 2_500;
const KEEP_ALIVE_MS = 5_000;

export type RedisOptions = { url: string; name: string; logger: Logger };

/**
 * The service's Redis connection. It reconnects for as long as the process lives, and every command
 * settles within `COMMAND_TIMEOUT_MS` of being sent: answered, refused, or failed with the connection. One
 * that failed without an answer may have run all the same.
 *
 * A server that turns out to be a replica (READONLY) is left at once: behind the same name there is a new
 * primary, or soon will be.
 *
 * Commands issued in the same tick share one write (auto-pipelining).
 */
export function openRedis({ url, name, logger }: RedisOptions): Redis {
  const redis = new Redis(url, {
    connectionName: `stampede-${name}`,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    enableAutoPipelining: true,
    // A lost connection fails what is under way on it, at once. With any other number ioredis keeps these
    // commands for the next connection and, when that comes first, forgets them: they would never settle
    // (redis/ioredis#2193).
    maxRetriesPerRequest: 0,
    // A script whose answer was lost may have run; sending it again is the caller's decision.
    autoResendUnfulfilledCommands: false,
    // A Redis that is reading its data says LOADING to each command, instead of leaving all of them waiting.
    enableReadyCheck: false,
    retryStrategy: (tries) =>
      Math.min(FIRST_RECONNECT_DELAY_MS * 2 ** Math.min(tries - 1, 10), MAX_RECONNECT_DELAY_MS),
    reconnectOnError: (error) => {
      logRefusal(logger, error);
      return isOfReplica(error);
    },
  });
  let lost = false;
  redis.on('error', (error: Error) => {
    lost = true;
    logUnreachable(logger, error);
  });
  redis.on('ready', () => {
    if (lost) logger.info('Redis is back');
    lost = false;
  });
  return redis;
}
