import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** In a copy of the repository, so that the command can write where it writes for a user. */
describe('a service made by one command', () => {
  let copy: string;
  const run = (program: string, ...args: string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: copy,
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };

  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'stampede-new-service-'));
    for (const path of ['package.json', 'package-lock.json', 'tsconfig.json', '.swcrc', '.prettierrc.json']) {
      cpSync(path, join(copy, path));
    }
    for (const path of ['scripts', 'libs', 'prisma', '.config']) {
      cpSync(path, join(copy, path), { recursive: true });
    }
    mkdirSync(join(copy, 'e2e'));
    mkdirSync(join(copy, 'bench'));
    symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  it('builds, passes its tests, and is started with the shop', () => {
    const made = run('scripts/new-service.mjs', 'seat-map');
    expect(made).toMatchObject({ status: 0 });
    expect(readFileSync(join(copy, 'scripts/shop.mjs'), 'utf8')).toContain("name: 'seat-map', portOffset: 7");

    expect(run('node_modules/typescript/bin/tsc', '--noEmit')).toEqual({ status: 0, output: '' });
    const jest = ['--config', '.config/jest.config.mjs', 'apps/seat-map'];
    const tested = spawnSync(
      process.execPath,
      ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', ...jest],
      {
        cwd: copy,
        encoding: 'utf8',
      },
    );
    expect(tested.stderr).toMatch(/Tests: +2 passed, 2 total/);
  }, 180_000);

  it('is refused by one line when its name is wrong or taken', () => {
    expect(run('scripts/new-service.mjs', 'Seat Map')).toMatchObject({ status: 1 });
    const again = run('scripts/new-service.mjs', 'seat-map');
    expect(again.status).toBe(1);
    expect(again.output.trim().split('\n').at(-1)).toBe('apps/seat-map exists already.');
  });
});
