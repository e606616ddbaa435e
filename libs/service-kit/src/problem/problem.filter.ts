import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { throwError, type Observable } from 'rxjs';
import { PROBLEM_CONTENT_TYPE, problemOf, type HttpProblem } from './problem.js';
import { toHttpProblem } from './translate.js';

/** The one place where an error becomes an answer. Errors of messages pass through: the delivery pipeline classifies them. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
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
    const fields = { method: request.method, url: request.url, status: problem.status, code: problem.code };
    if (problem.status >= 500 && problem.status !== 503) {
      this.logger.error({ ...fields, err: problem.cause ?? problem }, 'request failed');
    } else if (problem.status === 503) {
      this.logger.warn({ ...fields, cause: describe(problem.cause ?? problem) }, 'request refused for now');
    } else {
      this.logger.debug({ ...fields, detail: problem.message }, 'request refused');
    }
  }
}

/** A refusal under load is one line without a stack: there may be thousands of them. */
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
