import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runChaos } from './run-chaos.js';
import type { ShopChaosReport } from './shop/report.js';

const SECONDS = 60;
const SAMPLE = 4;

/** The short forms of `npm run chaos -- --shop` and `-- --matrix`; how the checker catches what can go wrong is in shop/checker/check.spec.ts. */
describe('a shop that sells while everything around it breaks', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'chaos-spec-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('loses no order, sells no ticket twice, keeps no money, and says so to every buyer', async () => {
    const seed = Date.now() % 2 ** 31;
    const json = join(dir, 'report.json');
    const args = ['--shop', '--minutes', String(SECONDS / 60), '--seed', String(seed), '--json', json];
    const { code, output } = await runChaos(args);
    // The output names the seed, what was broken, and where the history is.
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('every promise was kept') });
    const report = JSON.parse(readFileSync(json, 'utf8')) as ShopChaosReport;
    expect(Object.keys(report.strikes).length).toBeGreaterThanOrEqual(6);
    expect(report.counts.keys.accepted).toBeGreaterThan(100);
    expect(report.counts.orders['PAID']).toBeGreaterThan(50);
  }, 480_000);

  it(`keeps its promises at ${SAMPLE} points of the crash matrix`, async () => {
    const seed = Date.now() % 2 ** 31;
    const { code, output } = await runChaos(['--matrix', '--sample', String(SAMPLE), '--seed', String(seed)]);
    const where = `seed ${seed}: ${output}`;
    expect({ code, where }).toEqual({ code: 0, where: expect.stringContaining('every promise was kept') });
  }, 480_000);
});
