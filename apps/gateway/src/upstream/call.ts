import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HttpProblem } from '#libs/service-kit';
import { overloaded } from '../domain/errors.js';
import type { Upstream, Upstreams } from './upstreams.js';

/** What a call on behalf of a request carries on: who asks, and under which correlation. */
export type Caller = { authorization?: string; 'x-correlation-id'?: string; traceparent?: string };

/** The service kit has written correlation and trace into the request's headers. */
export function callerOf({ headers }: FastifyRequest): Caller {
  const caller: Caller = {};
  for (const name of ['authorization', 'x-correlation-id', 'traceparent'] as const) {
    const value = headers[name];
    if (typeof value === 'string') caller[name] = value;
  }
  return caller;
}

export type UpstreamAnswer = { status: number; body: unknown; headers: Readonly<Record<string, unknown>> };

export type UpstreamCall = {
  method: 'GET' | 'POST';
  path: string;
  headers: Readonly<Record<string, string>>;
  json?: unknown;
};

/**
 * Calls a service and reads its JSON answer, whatever its status.
 *
 * @throws {DomainError} `OVERLOADED` when the service cannot be reached or does not answer in time.
 */
export async function callUpstream(
  upstreams: Upstreams,
  upstream: Upstream,
  call: UpstreamCall,
): Promise<UpstreamAnswer> {
  try {
    const response = await upstreams.pool(upstream).request({
      method: call.method,
      path: call.path,
      headers:
        call.json === undefined ? call.headers : { ...call.headers, 'content-type': 'application/json' },
      body: call.json === undefined ? null : JSON.stringify(call.json),
    });
    const text = await response.body.text();
    return { status: response.statusCode, body: parseJson(text), headers: response.headers };
  } catch (error) {
    throw overloaded(`The ${upstream} service cannot be reached right now.`, error);
  }
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
    return overloaded(
      `The ${upstream} service cannot answer right now.`,
      new Error(`status ${answer.status}`),
    );
  }
  return new HttpProblem(answer.status, problem.data.code, problem.data.detail);
}
