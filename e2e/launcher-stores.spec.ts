import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
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
  expect(status).toBe(1);
});
