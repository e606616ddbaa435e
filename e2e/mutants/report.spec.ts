import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Mutant } from './mutant.js';
import { save, summarize, type Outcome } from './report.js';
import type { Run } from './sandbox.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-results-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const occasion = { commit: 'c0ffee', ranAt: '2026-11-26T20:00:00.000Z', seed: 7 };
const slip = (id: string, put = 'wrong', equivalent?: string): Mutant => ({
  ...{ id, guarantee: id.split('/')[0] ?? '', file: 'a.ts', find: 'right', put, specs: ['a.spec.ts'] },
  ...(equivalent !== undefined && { equivalent }),
});
const ran = (mutant: Mutant, outcome: Run['outcome']): Outcome => ({
  ...mutant,
  run: { outcome, ms: 1_000 },
});

/** The row of a guarantee: planted, a test failed, hung, explained, lives, not run. */
async function rowOf(guarantee: string, list: readonly Mutant[]): Promise<string[]> {
  await summarize(dir, list);
  const line = readFileSync(join(dir, 'README.md'), 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`| ${guarantee} |`));
  return (line ?? '').split(' | ').slice(1, 7);
}

test('the summary counts what became of each fault, and names those that live', async () => {
  const same = slip('locks/same', 'alike', 'nobody can tell');
  const [killed, hung, lives] = [slip('locks/killed'), slip('locks/hung'), slip('locks/lives')];
  await save(dir, occasion, [
    ran(killed, 'failed'),
    ran(hung, 'timed-out'),
    ran(same, 'passed'),
    ran(lives, 'passed'),
  ]);
  expect(await rowOf('locks', [killed, hung, same, lives])).toEqual(['4', '1', '1', '1', '1', '0']);
  const findings = readFileSync(join(dir, 'README.md'), 'utf8').match(/^ {4}.*$/gm);
  expect(findings).toEqual([expect.stringContaining('LIVES   locks/lives')]);
});

test('a fault that was added or changed since the last run of its guarantee is not run', async () => {
  await save(dir, occasion, [ran(slip('locks/old'), 'failed'), ran(slip('locks/changed'), 'failed')]);
  const list = [slip('locks/old'), slip('locks/changed', 'otherwise'), slip('locks/new'), slip('fences/new')];
  expect(await rowOf('locks', list)).toEqual(['3', '1', '0', '0', '0', '2']);
  expect(await rowOf('fences', list)).toEqual(['1', '0', '0', '0', '0', '1']);
});

test('a run replaces what the one before found of the same guarantee, and leaves the others alone', async () => {
  const [lock, fence] = [slip('locks/one'), slip('fences/one')];
  await save(dir, occasion, [ran(lock, 'passed')]);
  await save(dir, occasion, [ran(fence, 'passed')]);
  await save(dir, occasion, [ran(lock, 'failed')]);
  expect(await rowOf('locks', [lock, fence])).toEqual(['1', '1', '0', '0', '0', '0']);
  expect(await rowOf('fences', [lock, fence])).toEqual(['1', '0', '0', '0', '1', '0']);
});
