import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

type Owner = { pid: number; identity?: string };
type Launcher = {
  lockDirectory(dir: string): void;
  Supervisor: new (dir: string, say: (text: string) => void) => { endLeftOvers(): void };
  identityOf(pid: number): string | undefined;
  isServerOf(pid: number, data: string): boolean | undefined;
  loadSecrets(dir: string, brokerUrl: string): Record<string, string>;
  LogFile: new (path: string, maxBytes: number) => { write(chunk: Buffer): void; end(): void };
  makeLinks(packageDir: string): void;
  stopWaves(services: string[], drainMs?: string): { names: string[]; withinMs: number }[];
  withoutProxyOnLoopback(env: Record<string, string>): Record<string, string>;
};

/** Files that a process that was killed, or a disk that was full, leaves behind. */
const BROKEN = [
  ['empty', ''],
  ['cut', '{"pid": 12'],
  ['filled with zeros', '\0'.repeat(64)],
  ['of another shape', '["x"]'],
] as const;

let launcher: Launcher;
let dir: string;
let other: ChildProcess;

beforeAll(async () => {
  const names = ['lock', 'log-file', 'postgres', 'prepare', 'process-identity', 'processes', 'secrets'];
  const modules: object[] = [];
  // One after the other: jest's loader mixes up imports that meet.
  for (const name of names) {
    const url = pathToFileURL(join(repositoryRoot(), `scripts/launcher/${name}.mjs`));
    modules.push((await import(url.href)) as object);
  }
  launcher = Object.assign({}, ...modules) as Launcher;
});
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-state-'));
  other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(other, 'spawn');
});
afterEach(() => {
  other.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const pidOf = (child: ChildProcess): number => Number(child.pid);
const lockedBy = (): Owner => JSON.parse(readFileSync(join(dir, 'lock'), 'utf8')) as Owner;

describe('the lock of a data folder', () => {
  test.each(BROKEN)('is taken over when it is %s', (_, text) => {
    writeFileSync(join(dir, 'lock'), text);
    launcher.lockDirectory(dir);
    expect(lockedBy().pid).toBe(process.pid);
  });

  test.each(['this run', 'a run before the last boot'])(
    'is taken over when its pid is somebody else by now, by the clock of %s',
    (when) => {
      const [boot = '', ticks = ''] = (launcher.identityOf(pidOf(other)) ?? '').split(' ');
      const identity = when === 'this run' ? `${boot} ${Number(ticks) - 1}` : `another-boot ${ticks}`;
      writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: other.pid, identity }));
      launcher.lockDirectory(dir);
      expect(lockedBy().pid).toBe(process.pid);
    },
  );

  test('that an earlier version wrote is taken over when its pid runs something else', () => {
    writeFileSync(join(dir, 'lock'), String(other.pid));
    launcher.lockDirectory(dir);
    expect(lockedBy().pid).toBe(process.pid);
  });

  test('is not taken from a shop that is running', () => {
    const identity = launcher.identityOf(pidOf(other));
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: other.pid, identity }));
    expect(() => launcher.lockDirectory(dir)).toThrow(
      `Another shop (pid ${other.pid}) is running on ${dir}; stop it, or set STAMPEDE_DIR.`,
    );
  });
});

describe('what an earlier run has left running', () => {
  const end = (pids: unknown): void => {
    writeFileSync(join(dir, 'pids.json'), typeof pids === 'string' ? pids : JSON.stringify(pids));
    new launcher.Supervisor(dir, () => undefined).endLeftOvers();
  };

  test.each(BROKEN)('is nobody when pids.json is %s', (_, text) => {
    end(text);
    expect(existsSync(join(dir, 'pids.json'))).toBe(false);
  });

  test('is ended', async () => {
    const ended = once(other, 'exit');
    end({ order: { pid: other.pid, identity: launcher.identityOf(pidOf(other)) } });
    expect(await ended).toEqual([null, 'SIGTERM']);
  });

  test('is not a process that was given its pid since', async () => {
    end({ order: { pid: other.pid, identity: 'another-boot 1' }, stock: { pid: other.pid } });
    expect(other.signalCode).toBeNull();
    expect(launcher.identityOf(pidOf(other))).toBeDefined();
  });

  test('is not PostgreSQL when somebody else has its pid', () => {
    expect(launcher.isServerOf(pidOf(other), dir)).toBe(false);
  });
});

describe('the secrets of a data folder', () => {
  const path = (): string => join(dir, 'secrets.json');
  const load = (): Record<string, string> => launcher.loadSecrets(dir, 'tcp://127.0.0.1:1');
  const putData = (): void => void mkdirSync(join(dir, 'postgres', 'data'), { recursive: true });

  test.each(BROKEN)('are made when their file is %s and nothing has been kept with them', (_, text) => {
    writeFileSync(path(), text);
    const made = load();
    expect(made['postgresPassword']).toHaveLength(64);
    expect(load()).toEqual(made);
  });

  test.each(BROKEN)('are not made anew beside data: a file that is %s is one line', (_, text) => {
    putData();
    writeFileSync(path(), text);
    expect(load).toThrow(
      /^\S+secrets\.json is empty or damaged, and the data beside it needs it: [^\n]+--reset\.$/,
    );
    expect(readFileSync(path(), 'utf8')).toBe(text);
  });

  test('are not made anew beside data when their file is gone', () => {
    putData();
    expect(load).toThrow(/secrets\.json is missing/);
  });

  test('are for their owner, also when an earlier file was for all', () => {
    writeFileSync(path(), '{"jwtSecret": "kept"}', { mode: 0o644 });
    writeFileSync(`${path()}.new`, 'of a run that died', { mode: 0o644 });
    expect(load()['jwtSecret']).toBe(process.env['JWT_SECRET'] ?? 'kept');
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['secrets.json']);
  });
});

test('the log of a process is exchanged while it runs, and cannot grow past two files', () => {
  const path = join(dir, 'order.log');
  writeFileSync(path, 'from before\n', { mode: 0o644 });
  const log = new launcher.LogFile(path, 1_000);
  for (let line = 0; line < 500; line += 1) log.write(Buffer.from(`the same error, number ${line}\n`));
  log.end();
  expect(readdirSync(dir).sort()).toEqual(['order.log', 'order.log.1']);
  for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(1_000);
  expect(readFileSync(path, 'utf8')).toMatch(/number 499\n$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a log that cannot be written ends nobody, and goes on when it can', () => {
  const path = join(dir, 'later', 'order.log');
  const log = new launcher.LogFile(path, 1_000);
  log.write(Buffer.from('lost\n'));
  mkdirSync(join(dir, 'later'));
  log.write(Buffer.from('kept\n'));
  log.end();
  expect(readFileSync(path, 'utf8')).toBe('kept\n');
});

test('links between PostgreSQL’s libraries are made where npm has run no install script', () => {
  mkdirSync(join(dir, 'native', 'lib'), { recursive: true });
  writeFileSync(join(dir, 'native', 'lib', 'libpq.so.5.18'), '');
  const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
  writeFileSync(join(dir, 'native', 'pg-symlinks.json'), JSON.stringify(links));
  launcher.makeLinks(dir);
  launcher.makeLinks(dir);
  expect(readlinkSync(join(dir, 'native', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
});

test('a proxy is never asked for this machine, and keeps its other exceptions', () => {
  const env = { HTTP_PROXY: 'http://proxy:8080', NO_PROXY: 'upper', no_proxy: 'intern.example, 127.0.0.1' };
  const noProxy = 'intern.example,127.0.0.1,localhost,::1';
  expect(launcher.withoutProxyOnLoopback(env)).toEqual({ ...env, NO_PROXY: noProxy, no_proxy: noProxy });
});

describe('stopping', () => {
  const services = ['gateway', 'order', 'stock'];
  const lengthOf = (drainMs?: string): number =>
    launcher.stopWaves(services, drainMs).reduce((sum, { withinMs }) => sum + withinMs, 0);

  test('leaves the gateway the time for which it goes on answering, and cuts nobody off within it', () => {
    expect(launcher.stopWaves(services, '5000')[0]).toEqual({ names: ['gateway'], withinMs: 7_000 });
    expect(launcher.stopWaves(services, '5000')[1]).toEqual({ names: ['order', 'stock'], withinMs: 4_000 });
  });

  test.each([undefined, '', '0'])('is over within ten seconds with a DRAIN_MS of %p', (drainMs) => {
    expect(lengthOf(drainMs)).toBeLessThan(10_000);
  });
});
