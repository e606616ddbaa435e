import type { LoggerService } from '@nestjs/common';
import type { Logger } from 'pino';

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
