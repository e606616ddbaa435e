import { MessagingError, UnavailableError, type ErrorKind, type MessagingErrorCode } from './errors.js';
import type { DeadLetterReason } from './message.js';
import type { RetryPolicy } from './retry.js';

/** What becomes of a message whose handler failed. */
export type Verdict =
  | { action: 'ack' }
  | { action: 'retry'; delayMs: number }
  | { action: 'dead-letter'; reason: DeadLetterReason };

/**
 * The consumer's table of error kinds (the other one, for HTTP, is the service kit's):
 *
 * | kind      | here                                                      |
 * |-----------|-----------------------------------------------------------|
 * | invalid   | never right: dead letter now                              |
 * | not-found | it may be early: retry, then dead letter                  |
 * | conflict  | the other outcome, and an expected one: done              |
 * | transient | the world is at fault: retry, then dead letter            |
 * | unknown   | nobody knows: retry as well, since the policy is bounded  |
 */
const ACTIONS = {
  invalid: 'reject',
  'not-found': 'retry',
  conflict: 'ack',
  transient: 'retry',
  unknown: 'retry',
} as const satisfies Record<ErrorKind, 'ack' | 'retry' | 'reject'>;

/** Decides from the error, the number of the attempt that failed (1 for the first) and the handler's policy. */
export function verdictOn(
  error: unknown,
  attempt: number,
  retry: RetryPolicy,
  random: () => number = Math.random,
): Verdict {
  const action = ACTIONS[kindOf(error)];
  if (action === 'ack') return { action };
  if (action === 'reject') return { action: 'dead-letter', reason: 'rejected' };
  if (attempt >= retry.attempts) return { action: 'dead-letter', reason: 'retries-exhausted' };
  // A failure that knows how long it will last is believed, but never shortens the policy's delay.
  return { action: 'retry', delayMs: Math.max(retry.delayMs(attempt, random), retryAfterMs(error)) };
}

/** Anything that carries a `kind` of ours counts; everything else, `RpcException` included, is `unknown`. */
export function kindOf(error: unknown): ErrorKind {
  if (typeof error !== 'object' || error === null || !('kind' in error)) return 'unknown';
  const { kind } = error;
  if (typeof kind !== 'string' || !Object.hasOwn(ACTIONS, kind)) return 'unknown';
  // A conflict of the domain is an outcome; one of messaging itself (a fenced producer, a transaction
  // decided otherwise) means that something was not sent, and acknowledging would lose it.
  if (kind === 'conflict' && error instanceof MessagingError) return 'unknown';
  return kind as ErrorKind;
}

/** The broker cannot be told, or has no room, whatever is sent. */
const BROKER_AWAY: ReadonlySet<MessagingErrorCode> = new Set([
  'BROKER_UNAVAILABLE',
  'REQUEST_TIMEOUT',
  'BUFFER_FULL',
  'STORAGE_FAILED',
  'STORAGE_FULL',
]);

/** Whether a failure is no attempt of the message, because something that every message needs is away. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof UnavailableError) return true;
  return error instanceof MessagingError && BROKER_AWAY.has(error.code);
}

function retryAfterMs(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('retryAfterMs' in error)) return 0;
  return typeof error.retryAfterMs === 'number' ? error.retryAfterMs : 0;
}

/** Histories and dead letters keep this much of an error. */
const MAX_ERROR_CHARS = 1_024;
const MAX_CAUSES = 4;

/** One line for histories and dead letters: the error and what caused it, without stacks. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let cause = error; cause !== undefined && cause !== null && parts.length < MAX_CAUSES;) {
    parts.push(describeOne(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return parts.join(' ← ').slice(0, MAX_ERROR_CHARS) || 'unknown error';
}

function describeOne(error: unknown): string {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : '';
    const message = error.message.startsWith(code) ? error.message : code + error.message;
    // Few classes set a name of their own (`RpcException` does not).
    const name = error.name === 'Error' ? error.constructor.name : error.name;
    return `${name}: ${message}`;
  }
  // What Nest makes of an `RpcException`: a string, or an object with a message.
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error));
}
