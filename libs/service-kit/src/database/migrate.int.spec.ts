import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { DATABASE_SERVICES, migrate, type DatabaseService } from '../../../../prisma/migrate.js';
import { startPostgres, testPasswords, type TestPostgres } from '../testing/index.js';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());

async function as(url: string, sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

const TABLE: Record<DatabaseService, string> = {
  order: 'orders',
  stock: 'ledger',
  payment: 'payments',
  notification: 'deliveries',
  ops: 'audit',
};
const pairs = DATABASE_SERVICES.flatMap((reader) =>
  DATABASE_SERVICES.filter((owner) => owner !== reader).map((owner) => [reader, owner] as const),
);

describe('a service reaches its own tables only', () => {
  test.each(DATABASE_SERVICES)('%s reads and writes its own without naming the schema', async (service) => {
    const { rowCount } = await as(postgres.url(service), `DELETE FROM ${TABLE[service]} WHERE false`);
    expect(rowCount).toBe(0);
    await as(postgres.url(service), `SELECT * FROM ${TABLE[service]}`);
  });

  test.each(pairs.filter(([reader]) => reader !== 'ops'))('%s cannot read from %s', async (reader, owner) => {
    await expect(as(postgres.url(reader), `SELECT * FROM "${owner}".${TABLE[owner]}`)).rejects.toThrow(
      `permission denied for schema ${owner}`,
    );
  });

  test.each(pairs.filter(([reader]) => reader === 'ops'))(
    '%s reads %s but cannot write to it',
    async (ops, owner) => {
      const table = `"${owner}".${TABLE[owner]}`;
      await as(postgres.url(ops), `SELECT * FROM ${table}`);
      for (const statement of [`DELETE FROM ${table}`, `TRUNCATE ${table}`, `DROP TABLE ${table}`]) {
        await expect(as(postgres.url(ops), statement)).rejects.toThrow(/permission denied|must be owner/);
      }
    },
  );

  test('ops also reads a table that is made later', async () => {
    await as(postgres.adminUrl, 'CREATE TABLE stock.later (id int)');
    await as(postgres.url('ops'), 'SELECT * FROM stock.later');
    await as(postgres.url('stock'), 'INSERT INTO later VALUES (1)');
    await expect(as(postgres.url('order'), 'SELECT * FROM stock.later')).rejects.toThrow('permission denied');
  });

  test('a service cannot change the shape of its tables, nor what is recorded of migrations', async () => {
    for (const statement of [
      'CREATE TABLE mine (id int)',
      'DROP TABLE orders',
      'DELETE FROM _prisma_migrations',
    ]) {
      await expect(as(postgres.url('order'), statement)).rejects.toThrow(/permission denied|must be owner/);
    }
  });
});

describe('migrating again', () => {
  const again = (): Promise<string[]> => migrate({ adminUrl: postgres.adminUrl, passwords: testPasswords });

  test('finds nothing to do, also when several do it at once', async () => {
    expect(await Promise.all([again(), again(), again()])).toEqual([[], [], []]);
  });

  test('several at once on an empty database apply every migration once', async () => {
    const empty = await startPostgres({ migrated: false });
    try {
      const run = (): Promise<string[]> => migrate({ adminUrl: empty.adminUrl, passwords: testPasswords });
      const applied = (await Promise.all([run(), run(), run()])).flat();
      expect(new Set(applied).size).toBe(applied.length);
      expect(applied.length).toBeGreaterThanOrEqual(DATABASE_SERVICES.length);
    } finally {
      await empty.stop();
    }
  }, 60_000);

  test('sets a new password', async () => {
    const rotated = { ...testPasswords, order: 'rotated' };
    await migrate({ adminUrl: postgres.adminUrl, passwords: rotated });
    try {
      await expect(as(postgres.url('order'), 'SELECT 1')).rejects.toThrow('password authentication failed');
    } finally {
      await again();
    }
    await as(postgres.url('order'), 'SELECT 1');
  });

  test('refuses a migration that was changed after it had been applied', async () => {
    const change = (checksum: string): Promise<pg.QueryResult> =>
      as(
        postgres.adminUrl,
        `UPDATE ops._prisma_migrations new SET checksum = '${checksum}' FROM ops._prisma_migrations old
         WHERE old.id = new.id AND new.migration_name LIKE '%_initial' RETURNING old.checksum`,
      );
    const { rows } = await change('0'.repeat(64));
    await expect(again()).rejects.toThrow('was changed after it had been applied');
    await change(String((rows[0] as { checksum: string }).checksum));
    expect(await again()).toEqual([]);
  });
});

describe('what the tables themselves refuse', () => {
  test('more tickets sold than there are', async () => {
    await as(
      postgres.adminUrl,
      `INSERT INTO stock.shows VALUES ('s', 'Show', 'Venue', now());
       INSERT INTO stock.sessions VALUES ('se', 's', now());
       INSERT INTO stock.ticket_types VALUES ('tt', 'se', 'Floor', 100, 'EUR', 2, 0, 2, now());`,
    );
    await as(postgres.url('stock'), `UPDATE ticket_types SET sold = 2 WHERE id = 'tt'`);
    await expect(
      as(postgres.url('stock'), `UPDATE ticket_types SET sold = 3 WHERE id = 'tt'`),
    ).rejects.toThrow('ticket_types_not_oversold');
  });

  test('a second pending payment of one order', async () => {
    const insert = (status: string): Promise<pg.QueryResult> =>
      as(
        postgres.url('payment'),
        `INSERT INTO payments VALUES (gen_random_uuid(), 'o', 'b', 100, 'EUR', '${status}', 'i', now(), now())`,
      );
    await insert('PENDING');
    await insert('FAILED');
    await expect(insert('PENDING')).rejects.toThrow('payments_one_pending_per_order');
  });

  test('a second firing alert of one name', async () => {
    const fire = (): Promise<pg.QueryResult> =>
      as(postgres.url('ops'), `INSERT INTO alerts VALUES (gen_random_uuid(), 'dead-letters:g', '', 1, 1)`);
    await fire();
    await expect(fire()).rejects.toThrow('alerts_one_firing_per_name');
    await as(postgres.url('ops'), 'UPDATE alerts SET resolved_at = now()');
    await fire();
  });
});
