import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { DATABASE_SERVICES, migrate, roleOf } from '../../../../prisma/migrate.js';
import { PrismaClient } from '#prisma/stock';
import { until } from '../../../messaging/src/testing/until.js';
import { onFreePort, startPostgres, testPasswords, type TestPostgres } from '../testing/index.js';
import { OutboxListener } from '../outbox/outbox-listener.js';
import { openDatabase } from './database.js';
import { PrismaInbox } from './prisma-inbox.js';

const isInstalled = spawnSync('pgbouncer', ['--version']).status === 0;
const NOBODY = 65_534;
const logger = pino({ level: 'silent' });

let postgres: TestPostgres;
let bouncer: { port: number; stop(): Promise<void> };
let database: PrismaClient;

const through = (url: string): string => {
  const bounced = new URL(url);
  bounced.port = String(bouncer.port);
  return bounced.href;
};

/** Two server connections for everybody, so that sessions are shared as soon as there are three clients. */
async function startBouncer(target: URL): Promise<typeof bouncer> {
  const dir = await mkdtemp(join(tmpdir(), 'stampede-pgbouncer-'));
  await chmod(dir, 0o755);
  const [config, users] = [join(dir, 'pgbouncer.ini'), join(dir, 'users.txt')];
  const accounts = [
    [decodeURIComponent(target.username), decodeURIComponent(target.password)],
    ...DATABASE_SERVICES.map((service) => [roleOf(service), testPasswords[service]]),
  ];
  await writeFile(users, accounts.map(([name, password]) => `"${name}" "${password}"\n`).join(''));
  return onFreePort(async (port) => {
    await writeFile(
      config,
      `[databases]\n* = host=127.0.0.1 port=${target.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\n` +
        `unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = ${users}\npool_mode = transaction\ndefault_pool_size = 2\n`,
    );
    const asRoot = process.getuid?.() === 0;
    const server = spawn('pgbouncer', [config], {
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(asRoot && { uid: NOBODY, gid: NOBODY }),
    });
    const stop = async (): Promise<void> => {
      await ended(server);
      await rm(dir, { recursive: true, force: true });
    };
    await listening(server);
    return { port, stop };
  });
}

function listening(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    server.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('process up')) resolve();
    });
    server.once('error', reject);
    server.once('exit', () => reject(new Error(`PgBouncer ended: ${log.slice(-500)}`)));
  });
}

function ended(server: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (server.exitCode !== null) return resolve();
    server.once('exit', () => resolve());
    server.kill('SIGINT');
  });
}

// In CI it has to be there.
(isInstalled || process.env['CI'] !== undefined ? describe : describe.skip)(
  'through PgBouncer in transaction mode',
  () => {
    beforeAll(async () => {
      postgres = await startPostgres({ migrated: false });
      bouncer = await startBouncer(new URL(postgres.adminUrl));
      await migrate({ adminUrl: through(postgres.adminUrl), passwords: testPasswords });
      database = openDatabase(PrismaClient, { url: through(postgres.url('stock')), schema: 'stock', logger });
    }, 60_000);
    afterAll(async () => {
      await database?.$disconnect();
      await bouncer?.stop();
      await postgres?.stop();
    });

    test('several migrate at once, and each migration is applied once', async () => {
      const again = (): Promise<string[]> =>
        migrate({ adminUrl: through(postgres.adminUrl), passwords: testPasswords });
      expect((await Promise.all([again(), again(), again()])).flat()).toEqual([]);
    });

    test('every statement has its schema, UTC and its timeouts, whichever session it comes to', async () => {
      const session = (): Promise<object[]> =>
        database.$queryRawUnsafe(
          `SELECT current_schema()::text AS schema, current_setting('TimeZone') AS zone,
                current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock
         FROM pg_sleep(0.005)`,
        );
      const sessions = await Promise.all(Array.from({ length: 40 }, session));
      for (const rows of sessions) {
        expect(rows).toEqual([{ schema: 'stock', zone: 'UTC', statement: '15s', lock: '5s' }]);
      }
    });

    test('transactions, generated and raw statements work side by side', async () => {
      const inbox = new PrismaInbox(database);
      const startsAt = new Date('2026-11-01T05:30:00.000Z');
      await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          inbox.once('g', `m${n}`, async (tx) => {
            await (tx as PrismaClient).show.create({
              data: { id: `s${n}`, title: 'Show', venue: 'Hall', startsAt },
            });
          }),
        ),
      );
      const raw = await database.$queryRawUnsafe<{ startsAt: Date }[]>(
        'SELECT starts_at AS "startsAt" FROM shows',
      );
      expect(raw).toEqual(Array.from({ length: 20 }, () => ({ startsAt })));
      expect(await database.inboxMessage.count()).toBe(20);
    });

    test('LISTEN hears nothing, which is told once: the outbox is polled', async () => {
      const told: string[] = [];
      let heard = 0;
      const listener = new OutboxListener({
        ...{ url: through(postgres.url('stock')), channel: 'spec', database, probeTimeoutMs: 200 },
        heard: () => (heard += 1),
        logger: pino({ level: 'warn' }, { write: (line) => void told.push(line) }),
        askPoolerAgainMs: 10,
      });
      let probes = 0;
      const ask = database.$queryRawUnsafe.bind(database);
      const asked = jest.spyOn(database, '$queryRawUnsafe').mockImplementation((...query) => {
        probes += 1;
        return ask(...query);
      });
      listener.start();
      await until(() => probes >= 3, 'it to have tried again');
      await listener.stop();
      asked.mockRestore();
      expect(listener.isHearing).toBe(false);
      expect(heard).toBe(0);
      expect(told.map((line) => line.includes('notifications do not come through'))).toEqual([true]);
    });

    test('a session keeps nothing of those who used it before', async () => {
      const client = new pg.Client({ connectionString: through(postgres.url('order')) });
      await client.connect();
      try {
        const { rows } = await client.query<{ schema: string }>('SELECT current_schema() AS schema');
        expect(rows).toEqual([{ schema: 'order' }]);
      } finally {
        await client.end();
      }
    });
  },
);
