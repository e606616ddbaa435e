import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';
import { eventually } from './harness/client.js';
import { freePortRange } from './harness/shop.js';

describe('the whole shop', () => {
  let dir: string;
  let npm: ChildProcess;
  let output: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'stampede-ends-'));
  });
  afterEach(() => {
    npm.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });

  async function start(env: Record<string, string> = {}): Promise<void> {
    output = '';
    npm = spawn('npm', ['run', '--silent', 'shop'], {
      cwd: repositoryRoot(),
      env: {
        ...{ PATH: process.env['PATH'], HOME: dir, STAMPEDE_DIR: join(dir, 'data'), SEED_SHOWS: 'false' },
        ...{ PORT: String(await freePortRange()), ...env },
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [npm.stdout, npm.stderr])
      stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }

  it('ends with the line of the service that refuses its setting', async () => {
    await start({ RECONCILE_AFTER_MS: 'a while' });
    expect(await once(npm, 'close')).toEqual([78, null]);
    expect(output).not.toContain('starting it again');
    expect(output).toMatch(/^(order|payment): wrong configuration: RECONCILE_AFTER_MS: [^\n]+\n$/m);
  }, 60_000);

  it('leaves no process behind when npm is killed', async () => {
    await start();
    await eventually(
      async () => output.includes('Ready in') || undefined,
      60_000,
      () => `the shop is not ready:\n${output}`,
    );
    const pids = Object.entries(
      JSON.parse(readFileSync(join(dir, 'data', 'pids.json'), 'utf8')) as Record<string, { pid: number }>,
    );
    expect(pids).toHaveLength(9);
    npm.kill('SIGKILL');
    const left = (): string[] => pids.filter(([, { pid }]) => isAlive(pid)).map(([name]) => name);
    await eventually(
      async () => left().length === 0 || undefined,
      20_000,
      () => `still running: ${left().join(', ')}`,
    );
  }, 100_000);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
