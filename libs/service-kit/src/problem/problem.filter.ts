import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { throwError, type Observable } from 'rxjs';
import { PROBLEM_CONTENT_TYPE, problemOf, type HttpProblem } from './problem.js';
import { toHttpProblem } from './translate.js';

/** A 503 of one code is logged once in this time; the metrics count them all. */
const WARN_EVERY_MS = 5_000;
/** A token in a URL: an event stream's, or one that somebody put there by mistake. All begin with the same letters, those of `{"`. */
const TOKEN = /eyJ[\w.-]+/g;

/** The one place where an error becomes an answer. Errors of messages pass through: the delivery pipeline classifies them. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  /** By code, of which there are as many as the code names. */
  private readonly warnedAtMs = new Map<string, number>();

  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): Observable<never> | void {
    if (host.getType() !== 'http') return throwError(() => error);
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const problem = toHttpProblem(error);
    this.log(problem, request);
    sendProblem(problem, request, http.getResponse<FastifyReply>());
  }

  private log(problem: HttpProblem, request: FastifyRequest): void {
    const url = request.url.replace(TOKEN, '[redacted]');
    const fields = { method: request.method, url, status: problem.status, code: problem.code };
    const cause = problem.cause ?? problem;
    if (problem.status < 500) {
      this.logger.debug({ ...fields, detail: problem.message }, 'request refused');
    } else if (problem.status !== 503) {
      this.logger.error({ ...fields, err: cause }, 'request failed');
    } else if (this.mayWarn(problem.code)) {
      this.logger.warn({ ...fields, cause: describe(cause) }, 'requests are refused for now');
    }
  }

  /** Under load there may be thousands of refusals a second; a line for each would be load of its own. */
  private mayWarn(code: string): boolean {
    const now = Date.now();
    if (now - (this.warnedAtMs.get(code) ?? 0) < WARN_EVERY_MS) return false;
    this.warnedAtMs.set(code, now);
    return true;
  }
}

const describe = (cause: unknown): string =>
  cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);

export function sendProblem(problem: HttpProblem, request: FastifyRequest, reply: FastifyReply): void {
  // A stream that has begun (SSE, a proxied body) cannot be answered a second time; cutting it is the only signal left.
  if (reply.sent || reply.raw.headersSent) {
    reply.raw.destroy();
    return;
  }
  void reply
    .code(problem.status)
    .headers({
      ...problem.headers,
      'x-correlation-id': request.id,
      'content-type': PROBLEM_CONTENT_TYPE,
      'cache-control': 'no-store',
    })
    .send(JSON.stringify(problemOf(problem, request.id)));
}
