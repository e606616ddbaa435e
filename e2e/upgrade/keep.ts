/**
 * Keeps what a shop of this version leaves on disk, small enough for the repository, for the versions that
 * follow: `node scripts/run.mjs e2e/upgrade/keep.js v0.1.0` writes e2e/upgrade/v0.1.0/. See the README there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { BOOKKEEPING_TABLE } from '../../prisma/apply-migration.js';
import { ShopClient } from '../harness/client.js';
import { freePortRange, launchShop } from '../harness/shop.js';
import { repositoryRoot } from '../../libs/service-kit/src/testing/repository-root.js';
import { JWT_SECRET, keptPath, packDirectory, type KeptOrders } from './kept.js';

const ROOT = repositoryRoot();

const MONTH_MS = 30 * 86_400_000;
/** Long enough to stop the shop before the timer of its last order fires. */
const SHORT_TIMEOUT_MS = 20_000;
/** The show is never over, whenever these orders are looked at. */
const SHOW = new Date('2199-12-31T20:00:00Z');

async function main(): Promise<void> {
  const [name] = process.argv.slice(2);
  if (name === undefined) throw new Error('usage: keep.js NAME');
  const target = keptPath(name, '');
  const dir = mkdtempSync(join(tmpdir(), 'stampede-keep-'));
  const port = await freePortRange();
  try {
    const kept = await withShop(dir, port, MONTH_MS, buyWhatThereIs);
    const due = await withShop(dir, port, SHORT_TIMEOUT_MS, async (client) => {
      await client.verdictHolds();
      return (await client.buy('buyer-due', kept.ticketTypeId)).orderNo;
    });
    mkdirSync(target, { recursive: true });
    const orders: KeptOrders = { ...kept, due: { buyer: 'buyer-due', orderNo: due } };
    writeFileSync(join(target, 'orders.json'), `${JSON.stringify(orders, null, 2)}\n`);
    for (const part of ['broker', 'redis']) packDirectory(join(dir, part), join(target, `${part}.tar.gz`));
    const sql = await withPostgres(dir, port + 10, dump);
    writeFileSync(join(target, 'postgres.sql.gz'), gzipSync(sql, { level: 9 }));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function withShop<Result>(
  dir: string,
  port: number,
  paymentTimeoutMs: number,
  work: (client: ShopClient) => Promise<Result>,
): Promise<Result> {
  const launcher = await launchShop({
    STAMPEDE_DIR: dir,
    PORT: String(port),
    JWT_SECRET,
    PAYMENT_TIMEOUT_MS: String(paymentTimeoutMs),
  });
  try {
    return await work(new ShopClient(`http://127.0.0.1:${port}`, JWT_SECRET));
  } finally {
    await stop(launcher);
  }
}

/** One order in each state in which a version may leave one. */
async function buyWhatThereIs(client: ShopClient): Promise<Omit<KeptOrders, 'due'>> {
  const ticketTypeId = await client.sell(20, { startsAt: SHOW });
  const buy = async (buyer: string) => ({
    buyer,
    orderNo: (await client.buy(buyer, ticketTypeId)).orderNo,
  });
  const paid = await buy('buyer-paid');
  await client.pay(paid.buyer, paid.orderNo);
  await client.orderIn(paid.buyer, paid.orderNo, ['PAID']);
  const cancelled = await buy('buyer-cancelled');
  await client.call('POST', `/api/orders/${cancelled.orderNo}/cancel`, { as: cancelled.buyer });
  await client.orderIn(cancelled.buyer, cancelled.orderNo, ['CANCELLED']);
  const open = await buy('buyer-open');
  const begun = await client.startPayment(open.buyer, open.orderNo);
  await client.call('POST', '/api/auth/codes', { body: { phone: '+8613800138000' } });
  await client.verdictHolds();
  return { ticketTypeId, paid, cancelled, open, checkoutPath: new URL(begun.body.checkoutUrl).pathname };
}

async function withPostgres<Result>(
  dir: string,
  port: number,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const secrets = JSON.parse(readFileSync(join(dir, 'secrets.json'), 'utf8')) as Record<string, string>;
  const password = String(secrets['postgresPassword']);
  const runner = spawn(
    process.execPath,
    [join(ROOT, 'scripts/postgres.mjs'), '--dir', join(dir, 'postgres'), '--port', String(port)],
    { env: { ...process.env, POSTGRES_PASSWORD: password }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  await Promise.race([
    once(runner.stdout, 'data'),
    once(runner, 'exit').then(() => Promise.reject(new Error('PostgreSQL ended'))),
  ]);
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'stampede' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
    await stop(runner);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  await ended;
}

/** Statements that make the schemas, by their migrations, and their rows. pg_dump is not among the embedded programs. */
async function dump(client: pg.Client): Promise<string> {
  const migrations = join(ROOT, 'prisma', 'migrations');
  const { rows: schemas } = await client.query<{ schema: string }>(
    `SELECT table_schema AS schema FROM information_schema.tables WHERE table_name = '_prisma_migrations' ORDER BY 1`,
  );
  const parts = [`SET session_replication_role TO replica; SET TimeZone TO 'UTC'`];
  for (const { schema } of schemas) {
    parts.push(`CREATE SCHEMA "${schema}"; SET search_path TO "${schema}"`);
    const names = readdirSync(join(migrations, schema), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
    for (const name of names) {
      const sql = readFileSync(join(migrations, schema, name, 'migration.sql'), 'utf8');
      parts.push(sql.replaceAll('INDEX CONCURRENTLY', 'INDEX').trim().replace(/;$/, ''));
    }
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables
       WHERE table_schema = $1 AND table_type = 'BASE TABLE' ORDER BY 1`,
      [schema],
    );
    for (const { name } of tables) parts.push(...(await tableOf(client, schema, name)));
  }
  const { rows: sequences } = await client.query<{ sql: string }>(
    `SELECT format('SELECT setval(%L, %s)', format('%I.%I', schemaname, sequencename), last_value) AS sql
     FROM pg_sequences WHERE last_value IS NOT NULL`,
  );
  parts.push(...sequences.map(({ sql }) => sql));
  return `${parts.join(';\n')};\n`;
}

async function tableOf(client: pg.Client, schema: string, name: string): Promise<string[]> {
  const table = `"${schema}"."${name}"`;
  const {
    rows: [found],
  } = await client.query<{ rows: string | null; definition: string }>(
    `SELECT json_agg(t)::text AS rows FROM ${table} AS t`,
  );
  // The one table that no migration makes; some of the others are born with rows. Nothing cascades: triggers are off.
  const create = name === '_prisma_migrations' ? [BOOKKEEPING_TABLE] : [`DELETE FROM ${table}`];
  if (!found?.rows) return create;
  const rows = client.escapeLiteral(found.rows);
  return [
    ...create,
    `INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(null::${table}, ${rows})`,
  ];
}

await main();
