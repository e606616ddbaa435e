import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { currentCorrelation } from './correlation.js';
import { Repetitions } from './repetitions.js';

/** Fields whose values never reach a log, at the depths at which they are logged. */
const SECRET_FIELDS = ['authorization', 'cookie', 'token', 'password', 'secret'];
/** Of request bodies also the sign-in code; elsewhere a `code` is that of an error. */
const REDACTED_PATHS = [
  ...SECRET_FIELDS.flatMap((name) => [name, `headers.${name}`, `req.headers.${name}`, `body.${name}`]),
  'body.code',
];

/** The fields under which errors are logged. */
const ERROR_FIELDS = ['err', 'error', 'cause'] as const;
const MAX_KIND_CHARS = 300;

/**
 * JSON lines on stdout, or readable ones on a terminal. Every line names the service and, within a request or a
 * message, its correlation. An error that comes again and again is said once, and then once a minute with its
 * `count`: what fails ten thousand times a second must not fill a disk.
 *
 * @param destination instead of stdout
 */
export function createLogger(
  options: { name: string; level: string },
  destination?: DestinationStream,
): Logger {
  const settings: LoggerOptions = {
    level: options.level,
    base: { service: options.name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    mixin: () => currentCorrelation() ?? {},
    hooks: { logMethod: oncePerMinute(new Repetitions()) },
  };
  if (destination !== undefined) return pino(settings, destination);
  return pino({
    ...settings,
    ...(process.stdout.isTTY
      ? { transport: { target: 'pino-pretty', options: { ignore: 'pid,service' } } }
      : {}),
  });
}

type LogMethod = NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']>;

/** Passes on what is no error, or not yet repeated. The one that ends the process is never held back. */
function oncePerMinute(repetitions: Repetitions): LogMethod {
  return function (args, method, level) {
    const [fields, message] = args as unknown[];
    const kind = level === pino.levels.values['fatal'] ? undefined : kindOf(fields, message);
    if (kind === undefined) return method.apply(this, args);
    const again = (count: number): void =>
      method.apply(this, [
        { ...(fields as object), count },
        `${String(message)} (${count} times more in the last minute)`,
      ]);
    if (repetitions.isFirst(`${level} ${kind}`, again)) method.apply(this, args);
  };
}

/** What makes two errors the same for whoever reads them: the text, and what the error says. Undefined of what reports no error. */
function kindOf(fields: unknown, message: unknown): string | undefined {
  if (typeof fields !== 'object' || fields === null || typeof message !== 'string') return undefined;
  const error = ERROR_FIELDS.map((name) => (fields as Record<string, unknown>)[name]).find(Boolean);
  if (error === undefined) return undefined;
  // Errors arrive as they were thrown, or described: by their text, or by fields.
  const said = typeof error === 'object' ? (error as { message?: unknown }).message : error;
  return `${message} ${String(said)}`.slice(0, MAX_KIND_CHARS);
}
