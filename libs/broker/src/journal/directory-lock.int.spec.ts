import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Contest } from '../testing/lock-contender.js';
import { DirectoryLock } from './directory-lock.js';

const CONTENDER = fileURLToPath(new URL('../testing/lock-contender.ts', import.meta.url));
const SOURCES = ['--conditions=source', '--import', '@swc-node/register/esm-register'];
const ROUNDS = 40;

let dir: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

async function contender(...within: string[]): Promise<ChildProcess> {
  const [program, ...args] = [...within, process.execPath, ...SOURCES, CONTENDER];
  const child = spawn(program, args, {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.push(child);
  await once(child, 'message');
  return child;
}

async function tries(child: ChildProcess, directory: string, atMs = 0): Promise<boolean> {
  child.send({ dir: directory, atMs } satisfies Contest);
  return ((await once(child, 'message')) as [boolean])[0];
}

/** Whether another process of this machine may be given a process-id namespace of its own, as a container has. */
const CAN_UNSHARE = process.platform === 'linux' && process.getuid?.() === 0;

describe('a data directory', () => {
  it('has one broker however many start at the same moment', async () => {
    const contenders = [await contender(), await contender(), await contender()];
    for (let round = 0; round < ROUNDS; round++) {
      const atMs = Date.now() + 5;
      const directory = join(dir, String(round));
      const got = await Promise.all(contenders.map((each) => tries(each, directory, atMs)));
      expect(got.filter(Boolean)).toHaveLength(1);
    }
  });

  it('is free again when its broker was killed, and not before', async () => {
    const owner = await contender();
    expect(await tries(owner, dir)).toBe(true);
    await expect(DirectoryLock.take(dir)).rejects.toThrow(
      `is in use by the broker with process id ${owner.pid} on ${hostname()}`,
    );
    owner.kill('SIGKILL');
    await once(owner, 'close');
    (await DirectoryLock.take(dir)).release();
  });

  (CAN_UNSHARE ? it : it.skip)(
    'has one broker though two containers number their processes alike',
    async () => {
      const container = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
      const [one, two] = [await contender(...container), await contender(...container)];
      expect([await tries(one, dir), await tries(two, dir)]).toEqual([true, false]);
      expect(JSON.parse(readFileSync(join(dir, 'lock'), 'utf8'))).toMatchObject({ pid: 1 });
    },
  );

  it('has one broker though two threads of a process ask for it', async () => {
    const lock = await DirectoryLock.take(dir);
    const thread = new Worker(CONTENDER, { execArgv: SOURCES });
    await once(thread, 'message');
    thread.postMessage({ dir, atMs: 0 });
    expect(await once(thread, 'message')).toEqual([false]);
    lock.release();
    thread.postMessage({ dir, atMs: 0 });
    expect(await once(thread, 'message')).toEqual([true]);
    await expect(DirectoryLock.take(dir)).rejects.toThrow('STORAGE_FAILED');
    await thread.terminate();
    (await DirectoryLock.take(dir)).release();
  });

  it('is given free once: a second release takes nothing from the broker that came after', async () => {
    const first = await DirectoryLock.take(dir);
    first.release();
    const second = await DirectoryLock.take(dir);
    first.release();
    await expect(DirectoryLock.take(dir)).rejects.toThrow('is in use');
    second.release();
  });
});
