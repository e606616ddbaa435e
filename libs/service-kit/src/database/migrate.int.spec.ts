import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createServer, type AddressInfo, type Server } from 'node:net';
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

  test('builds an index anew whose build was interrupted, and records it', async () => {
    await as(
      postgres.adminUrl,
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'payment.payments_unanswered_idx'::regclass;
       DELETE FROM payment._prisma_migrations WHERE migration_name LIKE '%_unanswered_index'`,
    );
    expect(await again()).toEqual(['payment/20261126163100_unanswered_index']);
    const { rows } = await as(
      postgres.adminUrl,
      `SELECT indisvalid FROM pg_index WHERE indexrelid = 'payment.payments_unanswered_idx'::regclass`,
    );
    expect(rows).toEqual([{ indisvalid: true }]);
    expect(await again()).toEqual([]);
  });

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

describe('a server that cannot be migrated', () => {
  /** Answers each query with one row of one column. */
  const serverSaying = async (value: string): Promise<Server> => {
    const message = (type: string, ...parts: (Buffer | string)[]): Buffer => {
      const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
      const length = Buffer.alloc(4);
      length.writeInt32BE(body.length + 4);
      return Buffer.concat([Buffer.from(type), length, body]);
    };
    const ready = message('Z', 'I');
    const column = Buffer.from([0, 1, ...Buffer.from('version\0'), ...Array<number>(18).fill(0)]);
    column.writeInt32BE(25, 2 + 8 + 6);
    const row = message('D', Buffer.from([0, 1, 0, 0, 0, value.length]), value);
    const result = Buffer.concat([message('T', column), row, message('C', 'SELECT 1\0'), ready]);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]));
        socket.on('data', () => socket.write(result));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  };

  test('because it is too old is refused in one line that names DATABASE_URL', async () => {
    const server = await serverSaying('13.21 (Debian 13.21-0+deb11u1)');
    try {
      const { port } = server.address() as AddressInfo;
      const old = migrate({
        adminUrl: `postgresql://postgres:x@127.0.0.1:${port}/x`,
        passwords: testPasswords,
      });
      await expect(old).rejects.toMatchObject({
        name: 'DatabaseRefusal',
        message: 'DATABASE_URL: this is PostgreSQL 13.21 (Debian 13.21-0+deb11u1); 14 or newer is needed',
      });
    } finally {
      server.close();
    }
  });
});

describe('on a live shop', () => {
  test('a migration lets those behind it pass while somebody holds the table, and is applied afterwards', async () => {
    const holder = new pg.Client({ connectionString: postgres.adminUrl });
    await holder.connect();
    try {
      // What a migration does first in each schema, made to wait by a reader of the bookkeeping.
      await holder.query('BEGIN; LOCK TABLE ops._prisma_migrations IN ACCESS EXCLUSIVE MODE');
      const migrated = migrate({ adminUrl: postgres.adminUrl, passwords: testPasswords });
      const waits = async (): Promise<boolean> => {
        const { rows } = await as(
          postgres.adminUrl,
          `SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
           WHERE NOT l.granted AND a.application_name = 'stampede-migrate' AND a.datname = current_database()`,
        );
        return rows.length > 0;
      };
      const until = async (state: boolean): Promise<void> => {
        while ((await waits()) !== state) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await until(true);
      // It gives up its place in the queue by itself.
      await until(false);
      await holder.query('ROLLBACK');
      expect(await migrated).toEqual([]);
    } finally {
      await holder.end();
    }
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
