import { ReplyError } from 'ioredis';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';

const MAX_CAUSE_CHARS = 200;
/** What ioredis says, in plain errors, of commands that got no answer. They may have run all the same. */
const UNANSWERED = new Set([
  'Command timed out',
  'Connection is closed.',
  'Command aborted due to connection close',
]);

/** Whether Redis, or the link to it, is why something failed: refused by the server, or never answered. */
export function isRedisFailure(error: unknown): error is Error {
  return error instanceof Error && (isRefusal(error) || isUnanswered(error));
}

/** Redis has read the command and says no. */
const isRefusal = (error: Error): boolean => error instanceof ReplyError;

const isUnanswered = (error: Error): boolean =>
  error.name === 'MaxRetriesPerRequestError' || UNANSWERED.has(error.message);

/** The server behind the link is a replica now; who should be the primary is behind the same name, or will be. */
export const isOfReplica = (error: Error): boolean => /\b(READONLY|MASTERDOWN)\b/.test(error.message);

/** Said by Redis in the course of things: ioredis sends the script itself then. */
const isOrdinary = (error: Error): boolean => error.message.startsWith('NOSCRIPT');

/** Tells the operator why Redis refuses commands (`READONLY …`, `OOM …`, `NOPERM …`). */
export function logRefusal(logger: Logger, error: Error): void {
  if (!isOrdinary(error)) say(logger, 'Redis refuses commands', error);
}

export function logUnreachable(logger: Logger, error: Error): void {
  say(logger, 'Redis cannot be reached; reconnecting', error);
}

function say(logger: Logger, what: string, error: Error): void {
  const cause = causeOf(error);
  logger.error({ cause }, `${what}: ${cause}`);
}

/** The first line, without what differs from one command to the next: a script's hash, its line, the arguments. */
export function causeOf(error: Error): string {
  const [line = ''] = error.message.split('\n');
  return line
    .replace(/,? (with args beginning with|script:|on @user_script).*$/, '')
    .slice(0, MAX_CAUSE_CHARS);
}

/**
 * A readiness check: Redis takes a write. One that only reads (a replica, a full memory, a disk that cannot
 * be written) answers PING and sells nothing.
 *
 * @param name of the service, which probes a key of its own
 */
export function writable(redis: Redis, name: string): () => Promise<void> {
  let lastError: Error | undefined;
  redis.on('error', (error: Error) => (lastError = error));
  redis.on('ready', () => (lastError = undefined));
  return async () => {
    try {
      await redis.set(`ready:${name}`, '1', 'PX', 60_000);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      // What ioredis says of a command without an answer names no cause; what broke the connection does.
      const cause = isUnanswered(error) ? (lastError ?? error) : error;
      throw new Error(causeOf(cause), { cause });
    }
  };
}
