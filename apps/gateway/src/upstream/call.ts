import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HttpProblem } from '#libs/service-kit';
import { serviceUnavailable } from '../domain/errors.js';
import { CallFailed, type Patience } from './bounded-calls.js';
import type { Upstream, Upstreams } from './upstreams.js';

/** On whose behalf services are called: all calls for one request share one deadline, and end when the client leaves. */
export class Caller {
  private waitingSinceMs = performance.now();
  private abort: AbortController | undefined;

  /** @param authorization instead of the request's own, made anew for each call: who asks by another way than a bearer token */
  constructor(
    readonly request: FastifyRequest,
    private readonly reply: FastifyReply,
    readonly authorization?: () => string,
  ) {}

  /** @param timeoutMs how long the caller waits for everything that is called for it */
  patience(timeoutMs: number): Patience {
    return { left: this.left(), deadlineMs: this.waitingSinceMs + timeoutMs };
  }

  /** Begins to wait anew: an open stream asks again and again. */
  asksAgain(): void {
    this.waitingSinceMs = performance.now();
  }

  /** Not Fastify's `request.signal`, which fires as soon as a request with a body has been read. */
  private left(): AbortSignal {
    if (this.abort === undefined) {
      const abort = new AbortController();
      const response = this.reply.raw;
      if (response.destroyed) abort.abort();
      response.once('close', () => abort.abort());
      this.abort = abort;
    }
    return this.abort.signal;
  }
}

/** What a call carries on: who asks, and under which correlation. The service kit has written the latter into the request. */
function headersOf({ request: { headers }, authorization }: Caller): Record<string, string> {
  const carried: Record<string, string> = {};
  for (const name of ['authorization', 'x-correlation-id', 'traceparent'] as const) {
    const value = headers[name];
    if (typeof value === 'string') carried[name] = value;
  }
  if (authorization !== undefined) carried['authorization'] = authorization();
  return carried;
}

export type UpstreamAnswer = { status: number; body: unknown; headers: Readonly<Record<string, unknown>> };

export type UpstreamCall = {
  method: 'GET' | 'POST';
  path: string;
  /** On top of those that name the caller. */
  headers?: Readonly<Record<string, string>>;
  json?: unknown;
};

/**
 * Calls a service and reads its JSON answer, whatever its status.
 *
 * @throws {DomainError} `SERVICE_UNAVAILABLE` when the service cannot be reached or does not answer in time.
 */
export async function callUpstream(
  upstreams: Upstreams,
  upstream: Upstream,
  { method, path, headers, json }: UpstreamCall,
  caller: Caller,
): Promise<UpstreamAnswer> {
  try {
    const response = await upstreams.request(
      upstream,
      {
        method,
        path,
        headers: {
          ...headersOf(caller),
          ...headers,
          ...(json !== undefined && { 'content-type': 'application/json' }),
        },
        body: json === undefined ? null : JSON.stringify(json),
      },
      caller.patience(upstreams.timeoutMs),
    );
    const text = await response.body.text();
    return { status: response.statusCode, body: parseJson(text), headers: response.headers };
  } catch (error) {
    throw refusalOf(upstream, method, error);
  }
}

/** nginx's number for a client that hung up; nobody reads the answer. */
const CLIENT_CLOSED_REQUEST = 499;

/** The answer to a request whose call failed. */
export function refusalOf(upstream: Upstream, method: string, error: unknown): Error {
  const { reason } = error instanceof CallFailed ? error : { reason: 'unreachable' };
  if (reason === 'left') {
    return new HttpProblem(
      CLIENT_CLOSED_REQUEST,
      'CLIENT_CLOSED_REQUEST',
      'The client left.',
      {},
      { cause: error },
    );
  }
  const what =
    reason === 'late'
      ? `The ${upstream} service did not answer in time.`
      : `The ${upstream} service cannot be reached right now.`;
  const isUnclear = reason !== 'full' && method !== 'GET' && method !== 'HEAD';
  return serviceUnavailable(isUnclear ? `${what} Whether it took the request is not known.` : what, error);
}

/** A proxy in between may answer in HTML; what counts then is the status. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const ForeignProblem = z.object({ code: z.string(), detail: z.string() });

/** A refusal by a service behind the gateway, as the gateway's own answer. */
export function problemFrom(upstream: Upstream, answer: UpstreamAnswer): Error {
  const problem = ForeignProblem.safeParse(answer.body);
  if (!problem.success || answer.status >= 500) {
    return serviceUnavailable(
      `The ${upstream} service cannot answer right now.`,
      new Error(`status ${answer.status}`),
    );
  }
  return new HttpProblem(answer.status, problem.data.code, problem.data.detail);
}
