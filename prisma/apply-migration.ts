/** One migration, applied and recorded, beside no other and without holding up who uses the tables. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** Any number will do, as long as nobody else in this database locks it. */
const MIGRATION_LOCK = 7_236_421_093;

/** A migration that waits for a lock holds up everybody who comes after it: it lets them pass, and tries again. */
const LOCK_TIMEOUT_MS = 2_000;
const LOCK_ATTEMPTS = 30;
const LOCK_PAUSE_MS = 500;

export type Migration = { name: string; sql: string; checksum: string };

/** As `prisma migrate deploy` creates it. */
export const BOOKKEEPING_TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;

/**
 * `CREATE INDEX CONCURRENTLY` lets a shop go on writing while it builds, and cannot run in a transaction. Such a migration is
 * one statement that may be repeated (`IF NOT EXISTS`, the table with its schema): it runs first and is recorded
 * afterwards. A build that was interrupted leaves an invalid index, which is dropped and built again.
 */
export const isConcurrent = ({ sql }: Migration): boolean =>
  /^CREATE (UNIQUE )?INDEX CONCURRENTLY\b/m.test(sql);

export async function applyConcurrently(
  client: pg.Client,
  service: string,
  migration: Migration,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    if (await locked(client, service, () => isApplied(client, service, migration))) return false;
    await locked(client, service, () => dropInvalidIndexes(client, service));
    try {
      await client.query(migration.sql);
      break;
    } catch (error) {
      // Two that build at once wait for each other's transactions; one of them is told, and finds the index built.
      if (attempt === LOCK_ATTEMPTS || !isOfLocks(error)) {
        throw new Error(`migration ${service}/${migration.name} failed; repeat it`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LOCK_PAUSE_MS));
    }
  }
  // Another migration may have been faster to record it.
  return locked(client, service, () => apply(client, service, { ...migration, sql: '' }));
}

/** With its table locked an index that is invalid is not one that somebody else is building. */
async function dropInvalidIndexes(client: pg.Client, service: string): Promise<void> {
  const invalid = `SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS "table"
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relnamespace = '"${service}"'::regnamespace`;
  type Leftover = { index: string; table: string };
  for (const { table } of (await client.query<Leftover>(invalid)).rows) {
    await client.query(`LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE`);
  }
  for (const { index } of (await client.query<Leftover>(invalid)).rows)
    await client.query(`DROP INDEX ${index}`);
}

/** @throws when it was applied otherwise than it is now. */
async function isApplied(client: pg.Client, service: string, migration: Migration): Promise<boolean> {
  const { rows } = await client.query<{ checksum: string; finished: boolean }>(
    `SELECT checksum, finished_at IS NOT NULL AS finished FROM _prisma_migrations
     WHERE migration_name = $1 AND rolled_back_at IS NULL`,
    [migration.name],
  );
  const [before] = rows;
  const name = `${service}/${migration.name}`;
  if (before === undefined) return false;
  if (!before.finished) {
    throw new Error(`migration ${name} failed half-way under another tool; see prisma migrate resolve`);
  }
  if (before.checksum !== migration.checksum) {
    throw new Error(`migration ${name} was changed after it had been applied; write a new one`);
  }
  return true;
}

/** True when it was applied now, false when it had been before. */
export async function apply(client: pg.Client, service: string, migration: Migration): Promise<boolean> {
  if (await isApplied(client, service, migration)) return false;
  try {
    await client.query(migration.sql);
  } catch (error) {
    throw new Error(`migration ${service}/${migration.name} failed and was rolled back`, { cause: error });
  }
  await client.query(
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, now(), clock_timestamp(), 1)`,
    [randomUUID(), migration.checksum, migration.name],
  );
  return true;
}

/**
 * One transaction in the service's schema, beside no other migration. A lock that somebody else holds
 * on a table is not waited for at length.
 */
export async function locked<T>(client: pg.Client, service: string, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    await client.query('BEGIN');
    try {
      await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      await client.query(
        `SET LOCAL search_path TO "${service}"; SET LOCAL TimeZone TO 'UTC'; SET LOCAL lock_timeout TO ${LOCK_TIMEOUT_MS}`,
      );
      const result = await work();
      await client.query('COMMIT');
      return result;
    } catch (error) {
      // Of a connection that is gone, the error before is the one to be told.
      await client.query('ROLLBACK').catch(() => undefined);
      if (attempt === LOCK_ATTEMPTS || !isOfLocks(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
    }
  }
}

/** A lock that was not had in time, or a deadlock. */
function isOfLocks(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return error.code === '55P03' || error.code === '40P01';
  return error instanceof Error && error.cause !== undefined && isOfLocks(error.cause);
}
