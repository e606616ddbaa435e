import { AsyncLocalStorage } from 'node:async_hooks';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Logger } from 'pino';

/** What every generated client can do; the part that this package itself uses. */
export interface ServiceDatabase {
  $queryRawUnsafe<Rows = unknown>(query: string, ...values: unknown[]): PromiseLike<Rows>;
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>;
  $disconnect(): Promise<void>;
}

/** A client inside an interactive transaction. */
export type DatabaseTransaction = Pick<ServiceDatabase, '$queryRawUnsafe' | '$executeRawUnsafe'>;
export interface TransactionalDatabase extends ServiceDatabase {
  $transaction<Result>(
    work: (tx: DatabaseTransaction) => Promise<Result>,
    options: { maxWait: number; timeout: number },
  ): Promise<Result>;
}

/** A generated client class, such as `PrismaClient` of `#prisma/order`. */
export type DatabaseClass = abstract new (options: { adapter: PrismaPg }) => ServiceDatabase;

/**
 * Connections of one process. Six services of eight, plus a second instance of each during a
 * rollout, stay below Postgres' default of 100.
 */
export const MAX_DATABASE_CONNECTIONS = 8;
/** Longer than a healthy database ever takes to accept, and than a statement waits for a connection to be free. */
const CONNECT_TIMEOUT_MS = 5_000;
/**
 * How long a statement may stay without its answer. Longer than the server's own `statement_timeout`
 * (`SESSION_SETTINGS` in prisma/migrate.ts), which ends it in order: where this one is reached, the
 * connection is broken, although no packet has said so.
 */
export const ANSWER_DEADLINE_MS = 18_000;
/**
 * A machine whose clock is this far from the database's is told of. Local writes are refused when it is `WRITE_DEADLINE_MS`
 * behind, and their half messages wait for longer when it is ahead.
 */
const MAX_CLOCK_DIFFERENCE_MS = 5_000;
/** Between the server's deadline and ours, for the way of the answer. */
const ANSWER_MARGIN_MS = 3_000;
/** The first keepalive probe of a silent connection, so that firewalls do not forget it. */
const KEEP_ALIVE_AFTER_MS = 10_000;

/**
 * Opens a service's client on its own schema. Connections are made when they are needed, so a database
 * that is away fails requests and the readiness check, not the start.
 *
 * No session state is set from here, since behind PgBouncer in transaction mode a session is not one's
 * own: the role brings its schema, UTC and its timeouts along (prisma/migrate.ts), and each new
 * connection is asked whether it did.
 */
export function openDatabase<Client extends ServiceDatabase>(
  Database: abstract new (options: { adapter: PrismaPg }) => Client,
  options: { url: string; schema: string; logger: Logger; answerDeadlineMs?: number },
): Client {
  const pool: pg.Pool = new pg.Pool({
    connectionString: options.url,
    max: MAX_DATABASE_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    query_timeout: options.answerDeadlineMs ?? ANSWER_DEADLINE_MS,
    application_name: `stampede-${options.schema}`,
    Client: boundedClient(() => dropIdle(pool)),
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool awaits it, its types do not say so
    onConnect: (client) => requireSession(client, options),
  });
  const adapter = new PrismaPg(pool, {
    schema: options.schema,
    disposeExternalPool: true,
    onPoolError: (error) => options.logger.warn({ err: error }, 'an idle database connection was lost'),
  });
  const Concrete = Database as new (options: { adapter: PrismaPg }) => Client;
  return new Concrete({ adapter });
}

const allowedMs = new AsyncLocalStorage<number>();

/**
 * Lets the statements of `work` take longer than everybody else's. The server has to be told as well:
 * `SET LOCAL statement_timeout` within the transaction.
 */
export function withStatementTimeout<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  return allowedMs.run(timeoutMs + ANSWER_MARGIN_MS, work);
}

type QueryConfig = { query_timeout?: number };

/**
 * A connection that is thrown away when a statement on it fails for another reason than what the server
 * said. Prisma's adapter gives the connection of a transaction back to the pool whatever became of it:
 * one whose packets are dropped somewhere would be handed out again and again (node-postgres#2973).
 */
function boundedClient(onBroken: () => void): new () => pg.ClientBase {
  return class BoundedClient extends pg.Client {
    override query(...call: unknown[]): never {
      const [config] = call;
      const timeoutMs = allowedMs.getStore();
      if (timeoutMs !== undefined && typeof config === 'object') {
        (config as QueryConfig).query_timeout = timeoutMs;
      }
      const answer = (super.query as (...call: unknown[]) => unknown).apply(this, watched(call, this.broken));
      if (answer instanceof Promise) answer.catch(this.broken);
      return answer as never;
    }

    private readonly broken = (error: unknown): void => {
      if (error === null || error === undefined || error instanceof pg.DatabaseError) return;
      // With a statement under way this cuts the connection instead of waiting for it to say goodbye.
      void this.end();
      onBroken();
    };
  };
}

/** The pool calls with a callback, a transaction awaits the promise. */
function watched(call: unknown[], failed: (error: unknown) => void): unknown[] {
  const last = call.at(-1);
  if (typeof last !== 'function') return call;
  const callback = last as (error: unknown, result: unknown) => void;
  return [
    ...call.slice(0, -1),
    (error: unknown, result: unknown) => {
      failed(error);
      callback(error, result);
    },
  ];
}

/** What broke one connection has most likely broken those beside it: whoever comes next gets a new one. */
function dropIdle(pool: pg.Pool): void {
  for (let idle = pool.idleCount; idle > 0; idle -= 1) {
    pool.connect((_error, client) => client?.release(true));
  }
}

/** The session is not what the statements were written for. The message is the line that the operator needs. */
export class DatabaseSessionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DatabaseSessionError';
  }
}

async function requireSession(
  client: pg.ClientBase,
  { schema, logger }: { schema: string; logger: Logger },
): Promise<void> {
  const sentAtMs = Date.now();
  const { rows } = await client.query<{ schema: string | null; zone: string; role: string; atMs: number }>(
    `SELECT current_schema() AS schema, current_setting('TimeZone') AS zone, current_user AS role,
            (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "atMs"`,
  );
  const [session] = rows;
  // Asked at some time between the two.
  const behindMs = (session?.atMs ?? NaN) - Date.now();
  const aheadMs = sentAtMs - (session?.atMs ?? NaN);
  if (Math.max(behindMs, aheadMs) > MAX_CLOCK_DIFFERENCE_MS) {
    const difference =
      behindMs > 0 ? `${Math.round(behindMs / 1000)} s behind` : `${Math.round(aheadMs / 1000)} s ahead of`;
    logger.error(`the clock of this machine is ${difference} that of DATABASE_URL: synchronize both`);
  }
  if (session?.schema === schema && session.zone === 'UTC') return;
  const error = new DatabaseSessionError(
    `DATABASE_URL: sessions of ${session?.role} are in schema ${session?.schema ?? 'none'} and time zone ${session?.zone}, ` +
      `not in ${schema} and UTC; use the role stampede_${schema} and run the migrations, or ` +
      `ALTER ROLE ${session?.role} SET search_path TO "${schema}"; ALTER ROLE ${session?.role} SET TimeZone TO 'UTC'`,
  );
  logger.error(error.message);
  throw error;
}
