import type { FastifyInstance } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { childTraceparent, newTraceId, parseTraceparent, traceContext } from '#libs/messaging';
import { runCorrelated } from '../logs/correlation.js';

const CORRELATION_ID = /^[\w.:-]{1,128}$/;

/** The caller's own id, else the trace's, else a new one. A header that could spoil a log line is ignored. */
export function correlationIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-correlation-id'];
  if (typeof given === 'string' && CORRELATION_ID.test(given)) return given;
  return parseTraceparent(traceparentIn(headers))?.traceId ?? newTraceId();
}

function traceparentIn(headers: IncomingHttpHeaders): string | undefined {
  const given = headers['traceparent'];
  return typeof given === 'string' ? given : undefined;
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
    request.headers['traceparent'] = childTraceparent(traceparentIn(request.headers));
    void reply.header('x-correlation-id', request.id);
    enter(request.headers['traceparent'], request.id, done);
  });
  fastify.addHook('preHandler', (request, _reply, done) => {
    enter(request.headers['traceparent'], request.id, done);
  });
}

function enter(traceparent: string | string[] | undefined, correlationId: string, done: () => void): void {
  runCorrelated({ correlationId }, () => {
    traceContext.run(String(traceparent), done);
  });
}
