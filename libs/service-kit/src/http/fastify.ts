import { FastifyAdapter, RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import { PROBLEM_CONTENT_TYPE, codeOfStatus, HttpProblem, problemOf } from '../problem/problem.js';
import { sendProblem } from '../problem/problem.filter.js';
import { toHttpProblem } from '../problem/translate.js';
import { KnownRoutes } from './known-routes.js';
import { correlationIdOf, installCorrelation } from './correlation.js';
import { installTextRule, refusalOfJson, textOf } from './text.js';

/** The largest request body, in bytes. A larger one is answered with 413 `BODY_TOO_LARGE`. */
export const MAX_REQUEST_BODY_BYTES = 64 * 1024;
const MAX_PARAM_CHARS = 512;
/** A client that takes longer than this to send its request is cut off. */
const REQUEST_TIMEOUT_MS = 30_000;

declare module 'fastify' {
  interface FastifyRequest {
    /** The bytes of a JSON body as they came: what a webhook's signature covers. */
    rawBody?: Buffer;
  }
  interface FastifyContextConfig {
    isRaw?: boolean;
  }
}

/**
 * Of a route that reads `rawBody` itself, for whatever was signed by somebody else: the body is bounded, and neither parsed nor refused
 * for its text, which its sender would send again for ever.
 */
export const RawBody = (): MethodDecorator => RouteConfig({ isRaw: true });

/** Fastify as every service uses it: bounded bodies, JSON only, problem+json down to the HTTP parser. */
export class ServiceAdapter extends FastifyAdapter {
  private readonly routes = new KnownRoutes();

  constructor() {
    super({
      bodyLimit: MAX_REQUEST_BODY_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Message ids are longer than Fastify's hundred characters.
      routerOptions: { maxParamLength: MAX_PARAM_CHARS },
      // A request that arrives during shutdown is still answered: everything it needs closes after HTTP.
      return503OnClosing: false,
      genReqId: (request: { headers: FastifyRequest['headers'] }) => correlationIdOf(request.headers),
      clientErrorHandler: answerBrokenRequest,
      frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
        sendProblem(toHttpProblem(error), request, reply);
      },
    });
    const fastify: FastifyInstance = this.getInstance();
    takeJsonOnly(fastify);
    installCorrelation(fastify);
    installTextRule(fastify);
    // Before the body is looked at: what nobody takes need not be well made. Not earlier, because `onRequest` may add headers.
    fastify.addHook('preParsing', (request, _reply, _payload, done) => {
      done(request.is404 ? this.routes.refusal(request.method, request.url) : null);
    });
    this.routes.watch(fastify);
  }

  /** Has a path behind a catch-all answered with 405 and its methods, like a route. */
  know(url: string, methods: readonly string[]): void {
    this.routes.add(url, methods);
  }

  /** Nest would add its own parsers (forms among them); this adapter takes JSON only. */
  override registerParserMiddleware(): void {
    // Nothing to add.
  }

  /** Nest's own handler answers 404 to everything; this one knows a wrong method on a known path. */
  override setNotFoundHandler(): ReturnType<FastifyAdapter['setNotFoundHandler']> {
    return this.getInstance().setNotFoundHandler((request: FastifyRequest) => {
      throw this.routes.refusal(request.method, request.url);
    });
  }
}

function takeJsonOnly(fastify: FastifyInstance): void {
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    request.rawBody = bytes;
    if (request.routeOptions.config.isRaw === true) return done(null, undefined);
    // Many clients name a type without sending a body (`POST …/cancel`); that is not broken JSON.
    if (bytes.length === 0) return done(null, undefined);
    try {
      const text = textOf(bytes);
      void parse(request, text, (error, value: unknown) => {
        done(error ?? refusalOfJson(value, text) ?? null, value);
      });
    } catch (error) {
      done(error as Error);
    }
  });
}

/** The HTTP parser gave up, so there is no request and no reply: the answer is written by hand. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const problem = new HttpProblem(
    status,
    codeOfStatus(status),
    'The request is not HTTP as this server understands it.',
  );
  const body = JSON.stringify(problemOf(problem, correlationIdOf({})));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: ${PROBLEM_CONTENT_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
