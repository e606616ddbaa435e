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
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** The services that own a schema; each schema has its service's name. */
export const DATABASE_SERVICES = ['order', 'stock', 'payment', 'notification', 'ops'] as const;
export type DatabaseService = (typeof DATABASE_SERVICES)[number];

/** The one service that may also read the others' tables, for the verdict. */
const READER: DatabaseService = 'ops';

/** Any number will do, as long as nobody else in this database locks it. */
const MIGRATION_LOCK = 7_236_421_093;

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
 * Repeating it is harmless, and so is running two at once: the second waits, then finds nothing to do.
 */
export async function migrate({ adminUrl, passwords }: MigrateOptions): Promise<string[]> {
  const client = new pg.Client({ connectionString: adminUrl, application_name: 'stampede-migrate' });
  await client.connect();
  try {
    // Held by the session: it ends with the connection, even when this process is killed.
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const applied: string[] = [];
    for (const service of DATABASE_SERVICES) {
      await createRole(client, roleOf(service), passwords[service]);
      await client.query(`CREATE SCHEMA IF NOT EXISTS "${service}"`);
    }
    for (const service of DATABASE_SERVICES) {
      applied.push(...(await applyMigrations(client, service)));
      await grant(client, service);
    }
    return applied;
  } finally {
    await client.end();
  }
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

type Migration = { name: string; sql: string; checksum: string };

async function applyMigrations(client: pg.Client, service: DatabaseService): Promise<string[]> {
  await client.query(`SET search_path TO "${service}"`);
  await client.query(BOOKKEEPING_TABLE);
  const { rows } = await client.query<{ migration_name: string; checksum: string; finished: boolean }>(
    'SELECT migration_name, checksum, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  );
  const known = new Map(rows.map((row) => [row.migration_name, row]));
  const applied: string[] = [];
  for (const migration of await readMigrations(service)) {
    const before = known.get(migration.name);
    if (before === undefined) {
      await apply(client, migration);
      applied.push(`${service}/${migration.name}`);
    } else if (!before.finished) {
      throw new Error(
        `migration ${service}/${migration.name} failed half-way under another tool; see prisma migrate resolve`,
      );
    } else if (before.checksum !== migration.checksum) {
      throw new Error(
        `migration ${service}/${migration.name} was changed after it had been applied; write a new one`,
      );
    }
  }
  return applied;
}

/** As `prisma migrate deploy` creates it. */
const BOOKKEEPING_TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, now(), clock_timestamp(), 1)`,
      [randomUUID(), migration.checksum, migration.name],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw new Error(`migration ${migration.name} failed and was rolled back`, { cause: error });
  }
}

/** A service reads and writes its own tables; it cannot change their shape, nor see anybody else's. */
async function grant(client: pg.Client, service: DatabaseService): Promise<void> {
  const [schema, role, reader] = [`"${service}"`, `"${roleOf(service)}"`, `"${roleOf(READER)}"`];
  const { rows } = await client.query<{ name: string }>('SELECT quote_ident(current_database()) AS name');
  const statements = [
    `REVOKE ALL ON SCHEMA ${schema} FROM PUBLIC`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${role}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    `GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${role}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT USAGE ON SEQUENCES TO ${role}`,
    `REVOKE ALL ON ${schema}._prisma_migrations FROM ${role}`,
    `ALTER ROLE ${role} IN DATABASE ${rows[0]?.name} SET search_path TO ${schema}`,
  ];
  if (service !== READER) {
    statements.push(
      `GRANT USAGE ON SCHEMA ${schema} TO ${reader}`,
      `GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${reader}`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${reader}`,
    );
  }
  // One round trip, one transaction.
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

async function main(): Promise<void> {
  const adminUrl = process.env['ADMIN_DATABASE_URL'] ?? process.env['DATABASE_URL'];
  if (adminUrl === undefined || adminUrl === '') throw new Error('ADMIN_DATABASE_URL: is required');
  const passwords = Object.fromEntries(
    DATABASE_SERVICES.map((service) => {
      const variable = `${service.toUpperCase()}_DB_PASSWORD`;
      const password = process.env[variable];
      if (password === undefined || password === '') throw new Error(`${variable}: is required`);
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
