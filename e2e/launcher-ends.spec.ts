import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';
import { eventually } from './harness/client.js';

const launcher = (name: string): string =>
  pathToFileURL(join(repositoryRoot(), 'scripts', 'launcher', `${name}.mjs`)).href;

let dir: string;
let running: number[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-ends-'));
  mkdirSync(join(dir, 'logs'));
  running = [];
});
afterEach(() => {
  for (const pid of running) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const isGone = (pid: number): Promise<true> =>
  eventually(
    async () => (isAlive(pid) ? undefined : true),
    10_000,
    () => `process ${pid} is still there`,
  );

/** The numbers in the first line that it prints. */
async function pidsOf(child: ChildProcess): Promise<number[]> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const line = await eventually(
    async () => /^pids (.+)$/m.exec(output)?.[1],
    20_000,
    () => `it does not say its pids: ${output}`,
  );
  const pids = line.split(' ').map(Number);
  running.push(...pids);
  return pids;
}

/** A launcher that keeps `programs` running, as a program of its own. */
function supervise(programs: string): ChildProcess {
  const program = `
    import { Supervisor } from '${launcher('processes')}';
    const say = (line) => console.log('said ' + line);
    const supervisor = new Supervisor(${JSON.stringify(dir)}, say, (line) => {
      console.log('refused ' + line);
      supervisor.stop([{ names: ['other'], withinMs: 2000 }]).then(() => process.exit(78));
    });
    ${programs}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child.pid ?? 0);
  return child;
}

describe('a service that cannot start as it is set', () => {
  test('ends the launcher with its line, and is not started again', async () => {
    const line = 'order: wrong configuration: PAYMENT_TIMEOUT_MS: Invalid input';
    const child = supervise(`
      supervisor.start('other', process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {});
      const script = 'console.log("of no interest"); console.error("${line}"); process.exit(78)';
      supervisor.start('order', process.execPath, ['-e', script], {});`);
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    expect(await once(child, 'close')).toEqual([78, null]);
    expect(output).toBe(`refused ${line}\n`);
  });

  test('though the shop was open already is started again, and its line is told: the others sell on', async () => {
    const script = 'console.error("order: the port cannot be used"); process.exit(78)';
    const child = supervise(`
      supervisor.opened();
      supervisor.start('order', process.execPath, ['-e', ${JSON.stringify(script)}], {});`);
    const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(said.toString()).toBe(
      'said order ended with code 78; starting it again in 0.2 s: order: the port cannot be used\n',
    );
  });

  test('that ends in another way is started again', async () => {
    const child = supervise(`supervisor.start('order', process.execPath, ['-e', 'process.exit(1)'], {});`);
    const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(said.toString()).toMatch(/^said order ended with code 1; starting it again in 0\.2 s/);
  });

  test('is told by the line of its error, not by the last one of the stack', async () => {
    const script =
      'console.error("order: StoreError: it is not there\\n    at one\\n    at two"); process.exit(1)';
    const child = supervise(`
      supervisor.start('order', process.execPath, ['-e', ${JSON.stringify(script)}], {});`);
    const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(said.toString()).toContain('in 0.2 s: order: StoreError: it is not there\n');
  });
});

test('nothing outlives a launcher that is killed, neither what has a channel to it nor what has none', async () => {
  const child = supervise(`
    import { readFileSync } from 'node:fs';
    const script = 'process.on("disconnect", () => process.exit(0)); setInterval(() => {}, 1000)';
    supervisor.start('order', process.execPath, ['-e', script], {});
    supervisor.start('redis', 'sleep', ['600'], {});
    const pids = Object.values(JSON.parse(readFileSync('${join(dir, 'pids.json')}', 'utf8')));
    console.log('pids ' + pids.map(({ pid }) => pid).join(' '));`);
  const pids = await pidsOf(child);
  expect(pids).toHaveLength(2);
  child.kill('SIGKILL');
  await Promise.all(pids.map(isGone));
});

describe('a launcher that npm has started', () => {
  test.each(['SIGTERM', 'SIGHUP', 'SIGKILL'] as const)(
    'stops in order when npm gets a %s',
    async (signal) => {
      const program = `
      import { writeFileSync } from 'node:fs';
      import { whenStarterIsGone } from '${launcher('starter')}';
      whenStarterIsGone(() => {
        writeFileSync('stopped', 'in order');
        process.exit(0);
      });
      setInterval(() => {}, 1000);
      console.log('pids ' + process.pid);`;
      writeFileSync(join(dir, 'shop.mjs'), program);
      writeFileSync(join(dir, 'package.json'), JSON.stringify({ scripts: { shop: 'node shop.mjs' } }));
      const npm = spawn('npm', ['run', 'shop'], {
        cwd: dir,
        env: { PATH: process.env['PATH'], HOME: dir },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running.push(npm.pid ?? 0);
      const [pid = 0] = await pidsOf(npm);
      npm.kill(signal);
      await isGone(pid);
      expect(readFileSync(join(dir, 'stopped'), 'utf8')).toBe('in order');
    },
  );
});
