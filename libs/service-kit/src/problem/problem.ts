import { STATUS_CODES } from 'node:http';

/** The media type of RFC 9457. */
export const PROBLEM_CONTENT_TYPE = 'application/problem+json; charset=utf-8';

/** The body of every answer that is not a success (RFC 9457). */
export type Problem = {
  /** A stable name of the kind of problem; the same for every occurrence of `code`. */
  type: string;
  title: string;
  status: number;
  /** What a program decides by: upper case, words joined by underscores. */
  code: string;
  /** What a person reads. */
  detail: string;
  correlationId: string;
};

/** Codes of the problems that HTTP itself has, wherever no more precise one is given. */
const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'REQUEST_TIMEOUT',
  409: 'CONFLICT',
  413: 'BODY_TOO_LARGE',
  414: 'URI_TOO_LONG',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  422: 'UNPROCESSABLE',
  429: 'RATE_LIMITED',
  431: 'HEADERS_TOO_LARGE',
  502: 'UPSTREAM_FAILED',
  503: 'SERVICE_UNAVAILABLE',
  504: 'UPSTREAM_TIMEOUT',
};

/** The code of an HTTP status that has no more precise one. */
export function codeOfStatus(status: number): string {
  return CODE_OF_STATUS[status] ?? (status < 500 ? 'INVALID_REQUEST' : 'INTERNAL_ERROR');
}

/**
 * A refusal that belongs to HTTP itself (401, 403, 413, 415, 422, 429 …). What the domain refuses is a
 * `DomainError`, which knows no HTTP number.
 */
export class HttpProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    /** Response headers, such as `Retry-After`. */
    readonly headers: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(detail, options);
    this.name = 'HttpProblem';
  }
}

/** The body for an HTTP problem. */
export function problemOf(problem: HttpProblem, correlationId: string): Problem {
  return {
    type: `urn:stampede:problem:${problem.code.toLowerCase().replaceAll('_', '-')}`,
    title: titleOf(problem),
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    correlationId,
  };
}

/** `SOLD_OUT` → `Sold out`; where the code only names the status, the status's own words. */
function titleOf({ code, status }: HttpProblem): string {
  const ofStatus = STATUS_CODES[status];
  if (code === CODE_OF_STATUS[status] && ofStatus !== undefined) return ofStatus;
  const words = code.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
