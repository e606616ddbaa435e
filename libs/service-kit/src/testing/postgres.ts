import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { DATABASE_SERVICES, migrate, roleOf, type DatabaseService } from '../../../../prisma/migrate.js';
import { onFreePort } from './free-port.js';
import { repositoryRoot } from './repository-root.js';

/** A database for one suite, with every schema and role in place. */
export type TestPostgres = {
  /** Of the owner, who may do everything. */
  adminUrl: string;
  /** Of a service's own role: what it gets as `DATABASE_URL`. */
  url(service: DatabaseService): string;
  stop(): Promise<void>;
};

/** Roles are shared by all databases of a server, so every suite has to use the same passwords. */
const TEST_PASSWORDS = Object.fromEntries(
  DATABASE_SERVICES.map((service) => [service, `test-${service}`]),
) as Record<DatabaseService, string>;

/**
 * A migrated database: a fresh one on the server at `TEST_DATABASE_URL` (an owner who may create
 * databases and roles), else an embedded PostgreSQL of its own, without fsync, in a temporary folder.
 */
export async function startPostgres(options: { migrated?: boolean } = {}): Promise<TestPostgres> {
  const shared = process.env['TEST_DATABASE_URL'];
  const database =
    shared === undefined || shared === '' ? await onFreePort(embedded) : await freshDatabase(shared);
  try {
    if (options.migrated ?? true) await migrate({ adminUrl: database.adminUrl, passwords: TEST_PASSWORDS });
  } catch (error) {
    await database.stop();
    throw error;
  }
  return { ...database, url: (service) => urlOf(database.adminUrl, service) };
}

/** What `migrate` needs besides the admin's URL to do the same again. */
export const testPasswords: Readonly<Record<DatabaseService, string>> = TEST_PASSWORDS;

function urlOf(adminUrl: string, service: DatabaseService): string {
  const url = new URL(adminUrl);
  url.username = roleOf(service);
  url.password = TEST_PASSWORDS[service];
  return url.href;
}

type Database = Pick<TestPostgres, 'adminUrl' | 'stop'>;

async function freshDatabase(serverUrl: string): Promise<Database> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    adminUrl: url.href,
    stop: () => asAdmin(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

async function asAdmin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function embedded(port: number): Promise<Database> {
  const dir = await mkdtemp(join(tmpdir(), 'stampede-postgres-'));
  const password = randomBytes(12).toString('hex');
  const args = [
    join(repositoryRoot(), 'scripts', 'postgres.mjs'),
    '--dir',
    dir,
    '--port',
    String(port),
    '--unsafe-fast',
  ];
  // The channel ends with this process, however it ends, and the server with the channel.
  const server = spawn(process.execPath, args, {
    env: { ...process.env, POSTGRES_PASSWORD: password, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const stop = async (): Promise<void> => {
    await ended(server, 'SIGTERM');
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await ready(server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { adminUrl: `postgresql://postgres:${password}@127.0.0.1:${port}/stampede`, stop };
}

function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    server.stderr?.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-2_000)));
    server.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('ready')) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code) =>
      reject(new Error(`PostgreSQL ended with code ${code} before it was ready: ${log}`)),
    );
  });
}

function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    server.once('exit', () => resolve());
    server.kill(signal);
  });
}
