import type { LoggerService } from '@nestjs/common';
import { pino, type Logger } from 'pino';
import { currentCorrelation } from '../http/correlation.js';

/** Fields whose values never reach a log, at the depths at which they are logged. */
const SECRET_FIELDS = ['authorization', 'cookie', 'token', 'password', 'secret'];
/** Of request bodies also the sign-in code; elsewhere a `code` is that of an error. */
const REDACTED_PATHS = [
  ...SECRET_FIELDS.flatMap((name) => [name, `headers.${name}`, `req.headers.${name}`, `body.${name}`]),
  'body.code',
];

/** JSON lines on stdout, or readable ones on a terminal. Every line names the service and, within a request or a message, its correlation. */
export function createLogger(options: { name: string; level: string }): Logger {
  return pino({
    level: options.level,
    base: { service: options.name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    mixin: () => currentCorrelation() ?? {},
    ...(process.stdout.isTTY
      ? { transport: { target: 'pino-pretty', options: { ignore: 'pid,service' } } }
      : {}),
  });
}

/** Lets Nest write through pino. Nest's own start-up chatter is debug output. */
export class NestLogs implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...context: unknown[]): void {
    this.logger.debug(fields(context), String(message));
  }
  warn(message: unknown, ...context: unknown[]): void {
    this.logger.warn(fields(context), String(message));
  }
  error(message: unknown, ...context: unknown[]): void {
    if (message instanceof Error) this.logger.error({ err: message, ...fields(context) }, message.message);
    else this.logger.error(fields(context), String(message));
  }
  fatal(message: unknown, ...context: unknown[]): void {
    this.logger.fatal(fields(context), String(message));
  }
  debug(message: unknown, ...context: unknown[]): void {
    this.logger.debug(fields(context), String(message));
  }
  verbose(message: unknown, ...context: unknown[]): void {
    this.logger.trace(fields(context), String(message));
  }
}

/** Nest passes the writer's class name last, and for errors a stack before it. */
function fields(context: readonly unknown[]): Record<string, unknown> {
  const name = context.at(-1);
  const detail = context.slice(0, -1);
  return { ...(name === undefined ? {} : { context: name }), ...(detail.length === 0 ? {} : { detail }) };
}
