import { pino, type Logger } from 'pino';
import { currentCorrelation } from './correlation.js';

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
