import { HttpException } from '@nestjs/common';
import { DomainError, MessagingError, type ErrorKind } from '#libs/messaging';
import { codeOfStatus, HttpProblem } from './problem.js';
import { isDependencyAway } from './unavailable.js';

/** The HTTP half of the two tables that translate an error's kind; the consumer's is in the delivery pipeline. */
const STATUS_OF_KIND = {
  invalid: 400,
  'not-found': 404,
  conflict: 409,
  transient: 503,
  unknown: 500,
} as const satisfies Record<ErrorKind, number>;

/** How long a client waits after a transient failure that names no time itself. */
const DEFAULT_RETRY_AFTER_MS = 1_000;

const INTERNAL_DETAIL =
  'The request failed for a reason that is not yours. It has been logged under the correlation id.';

/**
 * Whatever was thrown, as an HTTP problem. The cause is kept for the log; what an unexpected error
 * says about the inside of the service never reaches the caller.
 */
export function toHttpProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof DomainError) return ofDomainError(error);
  if (error instanceof MessagingError && error.kind === 'transient') {
    const isUnclear = error.code === 'OUTCOME_UNKNOWN';
    const unclear = 'It is not known yet whether this was done. Ask again in a moment.';
    return unavailable(isUnclear ? unclear : 'The message broker cannot be reached right now.', error);
  }
  if (error instanceof HttpException) return ofHttpException(error);
  if (isDependencyAway(error)) {
    return unavailable('A service behind this one cannot be reached right now.', error);
  }
  const status = clientErrorStatus(error);
  if (status !== undefined) return ofStatus(status, error);
  return new HttpProblem(500, 'INTERNAL_ERROR', INTERNAL_DETAIL, {}, { cause: error });
}

function ofDomainError(error: DomainError): HttpProblem {
  const headers =
    error.kind === 'transient' ? retryAfter(error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) : undefined;
  const detail = error.kind === 'unknown' ? INTERNAL_DETAIL : error.message;
  return new HttpProblem(STATUS_OF_KIND[error.kind], error.code, detail, headers, { cause: error });
}

/** Nest's own exceptions, and what its Fastify adapter made of Fastify's errors (then the cause). */
function ofHttpException(error: HttpException): HttpProblem {
  const status = error.getStatus();
  if (error.cause !== undefined) return ofStatus(status, error.cause);
  if (status >= 500) return ofStatus(status, error);
  return new HttpProblem(status, codeOfStatus(status), error.message, {}, { cause: error });
}

const DETAIL_OF_STATUS: Readonly<Record<number, string>> = {
  413: 'The body has more than 64 KiB.',
  415: 'The body must be application/json.',
};

function ofStatus(status: number, cause: unknown): HttpProblem {
  const said = cause instanceof Error && status < 500 ? cause.message : INTERNAL_DETAIL;
  return new HttpProblem(status, codeOfStatus(status), DETAIL_OF_STATUS[status] ?? said, {}, { cause });
}

function unavailable(detail: string, cause: unknown): HttpProblem {
  return new HttpProblem(503, 'SERVICE_UNAVAILABLE', detail, retryAfter(DEFAULT_RETRY_AFTER_MS), { cause });
}

/** In whole seconds, rounded up: a client that comes back too early is turned away again. */
export function retryAfter(milliseconds: number): Record<string, string> {
  return { 'retry-after': String(Math.max(1, Math.ceil(milliseconds / 1000))) };
}

/** Fastify's plugins throw errors with a status of their own. */
function clientErrorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  const status = error.statusCode;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : undefined;
}
