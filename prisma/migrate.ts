/**
 * Brings a database to the schema of this checkout: one Postgres schema and one login role per
 * service, and every migration under prisma/migrations/<service>.
 *
 * As a program: `ADMIN_DATABASE_URL=… ORDER_DB_PASSWORD=… … node dist/prisma/migrate.js`.
 *
 * Each migration commits together with its row in the schema's `_prisma_migrations`, in the format of
 * `prisma migrate deploy`, so that the two may be mixed. Prisma's own engine is not used because it is
 * a binary to be downloaded, and because it applies a migration and its row in separate transactions:
 * a crash between them leaves a database that an operator has to repair.
 */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import {
  apply,
  applyConcurrently,
  BOOKKEEPING_TABLE,
  isConcurrent,
  locked,
  type Migration,
} from './apply-migration.js';

/** The services that own a schema; each schema has its service's name. */
export const DATABASE_SERVICES = ['order', 'stock', 'payment', 'notification', 'ops'] as const;
export type DatabaseService = (typeof DATABASE_SERVICES)[number];

/** The one service that may also read the others' tables, for the verdict. */
const READER: DatabaseService = 'ops';

/** The oldest that the PostgreSQL project still maintains. */
const OLDEST_MAJOR = 14;

/**
 * What every session of a service's role starts with, whatever the machine, the cluster or `initdb`
 * says. Set at the role and not by the client: PgBouncer refuses unknown settings at the start of a
 * connection, and in its transaction mode hands a session on to the next one.
 *
 * - UTC, because the driver leaves out the offset of what it sends and of what it reads.
 * - A statement, a wait for a lock and a transaction whose client is silent all end. Somebody who waits
 *   behind them is told so, and the client's own deadline (libs/service-kit) is a little longer.
 */
const SESSION_SETTINGS = {
  TimeZone: 'UTC',
  statement_timeout: '15s',
  lock_timeout: '5s',
  idle_in_transaction_session_timeout: '30s',
} as const;

/** The database cannot be used as it is. The message is the one line that the operator needs. */
export class DatabaseRefusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DatabaseRefusal';
  }
}

export type MigrateOptions = {
  /** Of a role that owns the database and may create roles. */
  adminUrl: string;
  /** Of the services' login roles; set anew on every run, so that a password is rotated by running it again. */
  passwords: Readonly<Record<DatabaseService, string>>;
};

/** The login role of a service. */
export const roleOf = (service: DatabaseService): string => `stampede_${service}`;

/**
 * Applies what is missing and returns the names of the migrations it applied, as `order/2026…_initial`.
 * Repeating it is harmless, and so is running two at once: each step is a transaction that holds the
 * lock and looks again at what is there. Nothing is kept in the session, so that it also works through
 * PgBouncer in transaction mode.
 * @throws {DatabaseRefusal} when the server is too old.
 */
export async function migrate({ adminUrl, passwords }: MigrateOptions): Promise<string[]> {
  const client = new pg.Client({
    connectionString: adminUrl,
    application_name: 'stampede-migrate',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  // A connection that breaks fails the statement under way; without one there is nothing to be done about it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await requireVersion(client);
    const applied: string[] = [];
    for (const service of DATABASE_SERVICES) {
      await createRole(client, roleOf(service), passwords[service]);
      await locked(client, service, async () => {
        await client.query(`CREATE SCHEMA IF NOT EXISTS "${service}"`);
        await client.query(BOOKKEEPING_TABLE);
      });
    }
    for (const service of DATABASE_SERVICES) {
      for (const migration of await readMigrations(service)) {
        const isNew = await (isConcurrent(migration)
          ? applyConcurrently(client, service, migration)
          : locked(client, service, () => apply(client, service, migration)));
        if (isNew) applied.push(`${service}/${migration.name}`);
      }
      await locked(client, service, () => grant(client, service));
    }
    return applied;
  } finally {
    await client.end();
  }
}

async function requireVersion(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: string }>(
    `SELECT current_setting('server_version') AS version`,
  );
  const version = rows[0]?.version ?? '';
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) return;
  throw new DatabaseRefusal(
    `DATABASE_URL: this is PostgreSQL ${version}; ${OLDEST_MAJOR} or newer is needed`,
  );
}

/**
 * Roles belong to the whole server, while the lock holds within one database only: two databases
 * migrated at once may meet here, and the loser tries again.
 */
async function createRole(client: pg.Client, role: string, password: string): Promise<void> {
  const attempts = 20;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
      const verb = rowCount === 0 ? 'CREATE' : 'ALTER';
      await client.query(`${verb} ROLE "${role}" LOGIN NOINHERIT PASSWORD ${client.escapeLiteral(password)}`);
      return;
    } catch (error) {
      if (attempt === attempts || !isConcurrentRoleChange(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 20));
    }
  }
}

const isConcurrentRoleChange = (error: unknown): boolean =>
  error instanceof pg.DatabaseError &&
  (error.code === '23505' || error.code === '42710' || error.message === 'tuple concurrently updated');

/** A service reads and writes its own tables; it cannot change their shape, nor see anybody else's. */
async function grant(client: pg.Client, service: DatabaseService): Promise<void> {
  const [schema, role, reader] = [`"${service}"`, `"${roleOf(service)}"`, `"${roleOf(READER)}"`];
  const { rows } = await client.query<{ name: string }>('SELECT quote_ident(current_database()) AS name');
  const database = rows[0]?.name;
  const statements = [
    `REVOKE ALL ON SCHEMA ${schema} FROM PUBLIC`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${role}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    `GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${role}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT USAGE ON SEQUENCES TO ${role}`,
    `REVOKE ALL ON ${schema}._prisma_migrations FROM ${role}`,
    `ALTER ROLE ${role} IN DATABASE ${database} SET search_path TO ${schema}`,
    ...Object.entries(SESSION_SETTINGS).map(
      ([name, value]) => `ALTER ROLE ${role} IN DATABASE ${database} SET ${name} TO '${value}'`,
    ),
  ];
  if (service !== READER) {
    statements.push(
      `GRANT USAGE ON SCHEMA ${schema} TO ${reader}`,
      `GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${reader}`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${reader}`,
    );
  }
  // One round trip.
  await client.query(statements.join(';\n'));
}

async function readMigrations(service: DatabaseService): Promise<Migration[]> {
  const dir = join(repositoryRoot(), 'prisma', 'migrations', service);
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(dir, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** The nearest folder upward with a package.json: the same from source and from dist. */
function repositoryRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error('no package.json above the migrations: the checkout is not complete');
    dir = parent;
  }
  return dir;
}

/** As the services do with theirs. */
function refusePublished(variable: string, value: string): void {
  if (process.env['NODE_ENV'] !== 'production' || !/(^|:)local-only/.test(value)) return;
  throw new Error(
    `${variable}: the password is the one published in docker-compose.yml: set your own with NODE_ENV=production`,
  );
}

async function main(): Promise<void> {
  const adminUrl = process.env['ADMIN_DATABASE_URL'] ?? process.env['DATABASE_URL'];
  if (adminUrl === undefined || adminUrl === '') throw new Error('ADMIN_DATABASE_URL: is required');
  refusePublished('ADMIN_DATABASE_URL', adminUrl);
  const passwords = Object.fromEntries(
    DATABASE_SERVICES.map((service) => {
      const variable = `${service.toUpperCase()}_DB_PASSWORD`;
      const password = process.env[variable];
      if (password === undefined || password === '') throw new Error(`${variable}: is required`);
      refusePublished(variable, password);
      return [service, password];
    }),
  ) as Record<DatabaseService, string>;
  const applied = await migrate({ adminUrl, passwords });
  process.stdout.write(applied.length === 0 ? 'nothing to migrate\n' : `applied ${applied.join(', ')}\n`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    process.stderr.write(`migrate: ${error instanceof Error ? error.message : String(error)}${cause}\n`);
    process.exitCode = 1;
  });
}
