import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { DATABASE_SERVICES } from '../../../../prisma/migrate.js';
import { repositoryRoot } from '../testing/repository-root.js';

/**
 * A migration runs while the shop sells. What it may not do to a table that is there already is hold a lock for as long
 * as the table is large: everybody who writes waits behind it, and write deadlines pass.
 */
const FORBIDDEN: [RegExp, string][] = [
  [
    /CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?\S+ ON (?<table>\S+?)\s*\(/gi,
    'an index is built CONCURRENTLY, in a migration of its own',
  ],
  [
    /ALTER TABLE (?<table>\S+)[^;]*ADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)(?![^;]*NOT VALID)/gi,
    'a constraint is added NOT VALID, and validated by the next migration',
  ],
  [
    /ALTER TABLE (?<table>\S+)[^;]*(?:SET DATA TYPE|ALTER COLUMN \S+ TYPE)/gi,
    'a column of a new type is a new column',
  ],
  [
    /ALTER TABLE (?<table>\S+)[^;]*SET NOT NULL/gi,
    'NOT NULL reads the whole table; a CHECK that is NOT VALID does not',
  ],
  [
    /ALTER TABLE (?<table>\S+)[^;]*ADD COLUMN[^;]*DEFAULT (?:gen_random_uuid|random|clock_timestamp|nextval)/gi,
    'a default that differs by row writes every row anew',
  ],
  [
    /(?:UPDATE|DELETE FROM) (?<table>"?\w+"?(?:\."?\w+"?)?)(?=\s)/gi,
    'rows are changed by the service, in batches',
  ],
  [
    /(?:VACUUM FULL|CLUSTER|REINDEX (?!.*CONCURRENTLY)|LOCK TABLE)\s*(?<table>\S*)/gi,
    'a table is not locked as a whole',
  ],
];
/** Applied before there was this rule, or of tables that no purchase writes to: shows, mails, the simulated provider's own. */
const EXCEPTIONS = new Set([
  'ops/20261121060000_forget_old_dead_letters',
  'payment/20261121060000_forget_old_webhooks',
  'notification/20261126161800_forget_old_mails',
  'payment/20261126162200_refunds_by_key',
  'stock/20261126161800_sale_end',
]);

/** What is wrong with a migration; empty when nothing is. */
function faultsOf(text: string): string[] {
  const sql = text.replace(/--.*$/gm, '').trim();
  const ownTables = new Set(
    [...sql.matchAll(/CREATE TABLE (?:IF NOT EXISTS )?(\S+)/gi)].map(([, table]) => table),
  );
  const faults = FORBIDDEN.flatMap(([pattern, rule]) =>
    [...sql.matchAll(pattern)].filter(({ groups }) => !ownTables.has(groups?.['table'])).map(() => rule),
  );
  if (/\bCONCURRENTLY\b/i.test(sql)) {
    const isAlone = /^CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS \S+ ON "\w+"\."\w+"[^;]*;$/.test(
      sql,
    );
    if (!isAlone) faults.push('CONCURRENTLY is one statement, IF NOT EXISTS, on a table with its schema');
  }
  return faults;
}

const migrations = DATABASE_SERVICES.flatMap((service) => {
  const dir = join(repositoryRoot(), 'prisma', 'migrations', service);
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({
      name: `${service}/${name}`,
      sql: readFileSync(join(dir, name, 'migration.sql'), 'utf8'),
    }));
});

test.each(migrations.filter(({ name }) => !EXCEPTIONS.has(name)))(
  '$name does not lock a live shop',
  ({ sql }) => {
    expect(faultsOf(sql)).toEqual([]);
  },
);

test('an exception is a migration that is there, and needs to be one', () => {
  const faulty = migrations.filter(({ sql }) => faultsOf(sql).length > 0).map(({ name }) => name);
  expect(new Set(faulty)).toEqual(EXCEPTIONS);
});

describe('is refused', () => {
  test.each([
    'CREATE INDEX "i" ON "orders"("status");',
    'CREATE UNIQUE INDEX i ON orders (status);',
    'create index i on orders(status);',
    'ALTER TABLE "orders" ADD CONSTRAINT "c" CHECK (quantity > 0);',
    'ALTER TABLE orders ADD COLUMN a INT, ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b(id);',
    'ALTER TABLE orders ALTER COLUMN quantity SET DATA TYPE BIGINT;',
    'ALTER TABLE orders ALTER COLUMN quantity SET NOT NULL;',
    'ALTER TABLE orders ADD COLUMN token UUID DEFAULT gen_random_uuid();',
    'UPDATE orders SET quantity = 1;',
    'DELETE FROM "orders" WHERE true;',
    'LOCK TABLE orders;',
    'CREATE INDEX CONCURRENTLY i ON "order"."orders"("status");',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON "orders"("status");',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON "order"."orders"("status"); SELECT 1;',
  ])('%s', (sql) => {
    expect(faultsOf(sql)).not.toEqual([]);
  });
});

describe('is accepted', () => {
  test.each([
    'CREATE TABLE "new" (id INT); CREATE INDEX "i" ON "new"("id"); ALTER TABLE "new" ADD CONSTRAINT c CHECK (id > 0);',
    'ALTER TABLE "orders" ADD COLUMN "note" TEXT;',
    'ALTER TABLE orders ADD CONSTRAINT c CHECK (quantity > 0) NOT VALID;',
    'ALTER TABLE orders VALIDATE CONSTRAINT c;',
    '-- why\nCREATE INDEX CONCURRENTLY IF NOT EXISTS "i" ON "order"."orders"("status");',
  ])('%s', (sql) => {
    expect(faultsOf(sql)).toEqual([]);
  });
});
