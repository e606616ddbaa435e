import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { Caller, refusalOf } from '../upstream/call.js';
import type { Upstreams } from '../upstream/upstreams.js';
import type { ProxiedRoute } from './route-table.js';

/** From the first byte of an answer to its last; a client that reads more slowly is cut off. */
const BODY_TIMEOUT_MS = 30_000;

/** Headers that concern one connection only (RFC 9110, 7.6.1), and those that the next request gets anew. */
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
  'content-length',
]);
const NOT_RETURNED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Passes a request on as it came, byte for byte (a webhook is signed over its bytes), and streams the
 * answer back.
 *
 * @throws {DomainError} `SERVICE_UNAVAILABLE` when the service cannot be reached or does not answer in time. Nothing is tried twice: the
 *   request may have had its effect.
 */
export async function forward(
  upstreams: Upstreams,
  { to, timeoutMs = upstreams.timeoutMs }: Pick<ProxiedRoute, 'to' | 'timeoutMs'>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  let answer: Dispatcher.ResponseData;
  try {
    answer = await upstreams.request(
      to,
      {
        method: request.method,
        path: request.raw.url ?? '/',
        headers: forwardedHeaders(request),
        body: Buffer.isBuffer(request.body) ? request.body : null,
      },
      { ...new Caller(request, reply).patience(timeoutMs), bodyMs: BODY_TIMEOUT_MS },
    );
  } catch (error) {
    throw refusalOf(to, request.method, error);
  }
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && !NOT_RETURNED.has(name)) void reply.header(name, value);
  }
  return reply.code(answer.statusCode).send(answer.body);
}

function forwardedHeaders(request: FastifyRequest): IncomingHttpHeaders {
  const listed = (request.headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const headers: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !NOT_FORWARDED.has(name) && !listed.includes(name)) headers[name] = value;
  }
  // What a client claims to be forwarded for is not believed: this is the edge.
  headers['x-forwarded-for'] = request.ip;
  headers['x-forwarded-host'] = request.host;
  headers['x-forwarded-proto'] = request.protocol;
  return headers;
}
