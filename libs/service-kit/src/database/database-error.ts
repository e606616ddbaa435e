/**
 * What a database error says about the world. The one place that knows how PostgreSQL's errors look by the
 * time they reach a service: raw from `pg`, as a `DriverAdapterError` of Prisma's adapter (from an
 * interactive transaction), or within a `PrismaClientKnownRequestError` (from everything else), with the
 * SQLSTATE under another name in each.
 */

const UNIQUE_VIOLATION = '23505';

/** What is known of an error of PostgreSQL or of the way to it. */
type DatabaseFault = {
  /** Five characters, `23505`; undefined when the error is not one that the server reported. */
  sqlState: string | undefined;
  /** `ERROR`, `FATAL`, `PANIC`; undefined where Prisma has dropped it, which it does for a few codes only. */
  severity: string | undefined;
  /** Prisma's own code, `P2010`. */
  prismaCode: string | undefined;
  /** What the adapter made of it, `ConnectionClosed`. */
  kind: string | undefined;
};

/** More causes than any library wraps. */
const MAX_CAUSES = 8;

/** The SQLSTATE that the server reported, however it is wrapped; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  return faultOf(error).sqlState;
}

/** Whether a row with this key exists already. */
export function isUniqueViolation(error: unknown): boolean {
  const { sqlState, prismaCode } = faultOf(error);
  return sqlState === UNIQUE_VIOLATION || prismaCode === 'P2002';
}

/**
 * Whether this error of a statement (its own transaction, or the COMMIT of one) proves that nothing was
 * written. False is not "it was written": an answer that did not come is neither.
 *
 * The server has said that the statement failed, and a failed statement takes its transaction along. It
 * does not count where the server may say so after the commit record is on its disk, or of another thing:
 *
 * - `08…`: the connection broke; `40003`: the server itself does not know.
 * - `57P…`: it was shut down, perhaps between the commit and the answer. (`57014`, a cancelled or timed out
 *   statement, is a failed one.)
 * - `58…`, `XX…`, and whatever is FATAL or PANIC: a disk that failed while the commit was written, say.
 *
 * A connection that was never made (refused, no such host) proves it as well: no statement left.
 */
export function provesNothingWritten(error: unknown): boolean {
  const { sqlState, severity, kind } = faultOf(error);
  if (sqlState === undefined) return kind === 'DatabaseNotReachable';
  if (severity === 'FATAL' || severity === 'PANIC') return false;
  if (sqlState === '57014') return true;
  return sqlState !== '40003' && !['08', '57', '58', 'F0', 'XX'].includes(sqlState.slice(0, 2));
}

/** Prisma's codes for a database that is away or has no connection left. */
const UNAVAILABLE_PRISMA = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
const UNAVAILABLE_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
]);
const UNAVAILABLE_SOCKET = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
/** `pg` gives these no code. */
const UNAVAILABLE_TEXT =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Client was closed and is not queryable)/;
/** Said while a session is made: its role, its password or its database is not there. Mended by an operator, who is told in readiness. */
const NO_SESSION_NAMES = new Set(['PrismaClientInitializationError', 'DatabaseSessionError']);
/** `28`, `3D`: no session for this role and password, no such database; `53`: out of memory, disk or connections; `55P03`: a lock timeout; `57`: shut down, or a statement timeout; `25P0[34]`: a session timeout. */
const UNAVAILABLE_SQL_STATE = /^(08|28|3D|53|57|55P03|25P03|25P04)/;

/**
 * Whether the database is away, overloaded or unreachable, so that the same call may work a moment later.
 * A mistake in a statement, or a row that is refused, is not that.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  const { sqlState, prismaCode, kind } = faultOf(error);
  if (sqlState !== undefined) return UNAVAILABLE_SQL_STATE.test(sqlState);
  if (kind !== undefined) return UNAVAILABLE_KINDS.has(kind);
  if (prismaCode !== undefined && UNAVAILABLE_PRISMA.has(prismaCode)) return true;
  return [...causesOf(error)].some(
    (cause) =>
      UNAVAILABLE_SOCKET.has(textOf(cause, 'code') ?? '') ||
      NO_SESSION_NAMES.has(textOf(cause, 'name') ?? '') ||
      UNAVAILABLE_TEXT.test(textOf(cause, 'message') ?? ''),
  );
}

function faultOf(error: unknown): DatabaseFault {
  const fault: DatabaseFault = {
    sqlState: undefined,
    severity: undefined,
    prismaCode: undefined,
    kind: undefined,
  };
  let isOfAdapter = false;
  for (const cause of causesOf(error)) {
    const [code, severity] = [textOf(cause, 'code'), textOf(cause, 'severity')];
    // A code alone is not one of SQL: `EPIPE` and `P2010` have five characters too.
    fault.sqlState ??= textOf(cause, 'originalCode') ?? (severity === undefined ? undefined : code);
    fault.severity ??= severity;
    // Errors of our own have a kind as well.
    if (isOfAdapter) fault.kind ??= textOf(cause, 'kind');
    isOfAdapter = textOf(cause, 'name') === 'DriverAdapterError';
    if (textOf(cause, 'name')?.startsWith('PrismaClient') === true) fault.prismaCode ??= code;
  }
  return fault;
}

/** The error, what it wraps, and so on: by `cause`, or where Prisma puts the adapter's. */
function* causesOf(error: unknown): Generator<object> {
  let cause = error;
  for (let depth = 0; depth < MAX_CAUSES && typeof cause === 'object' && cause !== null; depth += 1) {
    yield cause;
    const { meta, cause: next } = cause as { meta?: { driverAdapterError?: unknown }; cause?: unknown };
    cause = meta?.driverAdapterError ?? next;
  }
}

function textOf(cause: object, field: string): string | undefined {
  const value = (cause as Record<string, unknown>)[field];
  return typeof value === 'string' ? value : undefined;
}
