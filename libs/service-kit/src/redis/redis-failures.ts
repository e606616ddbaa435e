import { ReplyError } from 'ioredis';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** A cause that stays is said again after so long, with how often it has come since. */
const SAY_AGAIN_MS = 60_000;
/** Causes told apart at once; a server's error texts are not ours to bound. */
const MAX_CAUSES = 50;
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

/**
 * Tells the operator why Redis refuses commands: each cause (`READONLY …`, `OOM …`, `NOPERM …`) at once, and
 * then once a minute for as long as it comes, with its count.
 */
export class RedisFailureLog {
  private readonly since = new Map<string, number>();

  constructor(private readonly logger: Logger) {}

  refused(error: Error): void {
    if (isOrdinary(error)) return;
    this.say(causeOf(error), 'Redis refuses commands');
  }

  unreachable(error: Error): void {
    this.say(causeOf(error), 'Redis cannot be reached; reconnecting');
  }

  private say(cause: string, what: string): void {
    const count = this.since.get(cause);
    if (count !== undefined) {
      this.since.set(cause, count + 1);
      return;
    }
    if (this.since.size >= MAX_CAUSES) return;
    this.logger.error({ cause }, `${what}: ${cause}`);
    this.since.set(cause, 0);
    this.sayAgain(cause, what);
  }

  private sayAgain(cause: string, what: string): void {
    setTimeout(() => {
      const count = this.since.get(cause) ?? 0;
      this.since.delete(cause);
      if (count === 0) return;
      this.logger.error({ cause, count }, `${what}: ${cause} (${count} times more in the last minute)`);
      this.since.set(cause, 0);
      this.sayAgain(cause, what);
    }, SAY_AGAIN_MS).unref();
  }
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
