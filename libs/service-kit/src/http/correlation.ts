import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { traceContext } from '#libs/messaging';

export type Correlation = { correlationId: string };

const correlations = new AsyncLocalStorage<Correlation>();

/** What the running request (or message) is known by in logs and problems; undefined outside of one. */
export function currentCorrelation(): Correlation | undefined {
  return correlations.getStore();
}

const CORRELATION_ID = /^[\w.:-]{1,128}$/;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** The caller's own id, else the trace's, else a new one. A header that could spoil a log line is ignored. */
export function correlationIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-correlation-id'];
  if (typeof given === 'string' && CORRELATION_ID.test(given)) return given;
  const traceparent = headers['traceparent'];
  const traceId = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
  return traceId ?? randomBytes(16).toString('hex');
}

/** The caller's trace context, or the root of a new one. */
function traceparentOf(headers: IncomingHttpHeaders): string {
  const given = headers['traceparent'];
  if (typeof given === 'string' && TRACEPARENT.test(given)) return given;
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}

/**
 * Runs each request within its correlation and trace context and answers with the id. Both are also
 * written into the request's headers, so that a proxied request carries them on.
 *
 * The contexts are entered twice: the body parser continues in the socket's own context, which loses
 * what `onRequest` had entered.
 */
export function installCorrelation(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    request.headers['x-correlation-id'] = request.id;
    request.headers['traceparent'] = traceparentOf(request.headers);
    void reply.header('x-correlation-id', request.id);
    enter(request.headers['traceparent'], request.id, done);
  });
  fastify.addHook('preHandler', (request, _reply, done) => {
    enter(request.headers['traceparent'], request.id, done);
  });
}

function enter(traceparent: string | string[] | undefined, correlationId: string, done: () => void): void {
  correlations.run({ correlationId }, () => {
    traceContext.run(String(traceparent), done);
  });
}
