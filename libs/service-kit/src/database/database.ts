import { PrismaPg } from '@prisma/adapter-pg';
import type { Logger } from 'pino';

/** What every generated client can do; the part that this package itself uses. */
export interface ServiceDatabase {
  $queryRawUnsafe<Rows = unknown>(query: string, ...values: unknown[]): PromiseLike<Rows>;
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>;
  $disconnect(): Promise<void>;
}

/** A generated client class, such as `PrismaClient` of `#prisma/order`. */
export type DatabaseClass = abstract new (options: { adapter: PrismaPg }) => ServiceDatabase;

/**
 * Connections of one process. Six services of eight, plus a second instance of each during a
 * rollout, stay below Postgres' default of 100.
 */
export const MAX_DATABASE_CONNECTIONS = 8;
/** Longer than a healthy database ever takes to accept. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Opens a service's client on its own schema. Connections are made when they are needed, so a database
 * that is away fails requests and the readiness check, not the start.
 */
export function openDatabase<Client extends ServiceDatabase>(
  Database: abstract new (options: { adapter: PrismaPg }) => Client,
  options: { url: string; schema: string; logger: Logger },
): Client {
  const adapter = new PrismaPg(
    {
      connectionString: options.url,
      max: MAX_DATABASE_CONNECTIONS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: `stampede-${options.schema}`,
      // Raw SQL names its tables without a schema. The role's own search_path says the same, unless the URL names another role.
      options: `-c search_path=${options.schema}`,
    },
    {
      schema: options.schema,
      onPoolError: (error) => options.logger.warn({ err: error }, 'an idle database connection was lost'),
    },
  );
  const Concrete = Database as new (options: { adapter: PrismaPg }) => Client;
  return new Concrete({ adapter });
}
