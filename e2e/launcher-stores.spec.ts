import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-stores-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a data folder of another major version of PostgreSQL is refused in one line, and left as it is', () => {
  mkdirSync(join(dir, 'data'));
  writeFileSync(join(dir, 'data', 'PG_VERSION'), '16\n');
  const program = join(repositoryRoot(), 'scripts', 'postgres.mjs');
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, '--dir', dir, '--port', '1'], {
    env: { ...process.env, POSTGRES_PASSWORD: 'any', NODE_OPTIONS: '' },
    encoding: 'utf8',
    timeout: 20_000,
  });
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^\S+ was written by PostgreSQL 16, and this is \d+: .*DATABASE_URL.*\n$/);
  expect(status).toBe(78);
});

test('a data folder that cannot be made is refused in one line that says what to set', () => {
  writeFileSync(join(dir, 'file'), '');
  const place = join(dir, 'file', 'data');
  const { status, stderr } = spawnSync(process.execPath, [join(repositoryRoot(), 'scripts', 'shop.mjs')], {
    env: { ...process.env, STAMPEDE_DIR: place, NODE_OPTIONS: '' },
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stderr).toMatch(
    new RegExp(`^Data cannot be kept in ${place} \\(ENOTDIR\\): set STAMPEDE_DIR to a folder [^\n]+\n$`, 'm'),
  );
  expect(stderr).not.toContain('    at ');
  expect(status).toBe(1);
}, 60_000);

test('passwords that docker-compose.yml publishes are refused in one line in production', () => {
  const passwords = ['ORDER', 'STOCK', 'PAYMENT', 'NOTIFICATION', 'OPS'].map((service): [string, string] => [
    `${service}_DB_PASSWORD`,
    service === 'OPS' ? 'local-only-ops' : 'own',
  ]);
  const env = Object.fromEntries<string>([
    ...passwords,
    ['ADMIN_DATABASE_URL', 'postgresql://postgres:own@127.0.0.1:1/x'],
  ]);
  const migrate = (more: Record<string, string>) =>
    spawnSync(process.execPath, [join(repositoryRoot(), 'dist', 'prisma', 'migrate.js')], {
      env: { NODE_ENV: 'production', ...env, ...more },
      encoding: 'utf8',
      timeout: 20_000,
    }).stderr;
  const refusal = 'the password is the one published in docker-compose.yml';
  expect(migrate({})).toMatch(new RegExp(`^migrate: OPS_DB_PASSWORD: ${refusal}[^\n]+\n$`));
  const url = 'postgresql://postgres:local-only@127.0.0.1:1/x';
  expect(migrate({ ADMIN_DATABASE_URL: url })).toMatch(
    new RegExp(`^migrate: ADMIN_DATABASE_URL: ${refusal}[^\n]+\n$`),
  );
  expect(migrate({ NODE_ENV: 'development' })).toContain('ECONNREFUSED');
});

describe('a Redis of somebody else’s', () => {
  let server: Server;
  afterEach(() => void server.close());

  /** Says of itself what `info` is, and OK to everything else. */
  async function pretend(info: string): Promise<string> {
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        for (const command of chunk
          .toString()
          .split(/^\*\d+\r\n/m)
          .slice(1))
          socket.write(/^\$4\r\ninfo\r\n/i.test(command) ? info : '+OK\r\n');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `redis://127.0.0.1:${address.port}`;
  }

  async function refusalOf(url: string): Promise<string> {
    const launcher = (name: string): string =>
      pathToFileURL(join(repositoryRoot(), 'scripts', 'launcher', `${name}.mjs`)).href;
    const program = `
      import { runMain } from '${launcher('prepare')}';
      import { requireFitRedis } from '${launcher('redis')}';
      await runMain(() => requireFitRedis('${url}', 500));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (chunk) => (text += String(chunk)));
    await once(child, 'close');
    return text;
  }

  test('that is too old is refused in one line before anything is started on it', async () => {
    const info = 'redis_version:6.0.16\r\nrun_id:1\r\n';
    const url = await pretend(`$${info.length}\r\n${info}\r\n`);
    expect(await refusalOf(url)).toMatch(
      /^REDIS_URL: Redis is 6\.0\.16, and 7\.0 or later is needed[^\n]+\n$/,
    );
  });

  test('that lets nobody in is refused by its own words', async () => {
    const url = await pretend('-NOAUTH Authentication required.\r\n');
    expect(await refusalOf(url)).toBe('REDIS_URL: Redis cannot be used: NOAUTH Authentication required.\n');
  });

  test('that is not there is refused when the time is over', async () => {
    const url = await pretend('');
    server.close();
    expect(await refusalOf(url)).toMatch(/^REDIS_URL: Redis cannot be used: connect ECONNREFUSED [^\n]+\n$/);
  });
});
