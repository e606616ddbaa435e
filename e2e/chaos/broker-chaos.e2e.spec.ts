import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ChaosReport } from './broker/report.js';
import { runChaos } from './run-chaos.js';

const SECONDS = 15;

/** The short form of `npm run chaos`; how the checker catches what can go wrong is in checker/check.spec.ts. */
describe('a broker that is killed over and over, with its producers and consumers', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'chaos-spec-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('loses nothing, invents nothing, and keeps order, transactions and timers', async () => {
    const seed = Date.now() % 2 ** 31;
    const json = join(dir, 'report.json');
    const args = ['--minutes', String(SECONDS / 60), '--seed', String(seed), '--json', json];
    const { code, output } = await runChaos(args);
    // The output names the seed, what was broken, and where the histories are.
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('every promise was kept') });
    const report = JSON.parse(readFileSync(json, 'utf8')) as ChaosReport;
    expect(report.kills.broker).toBeGreaterThan(0);
    expect(report.counts.sent.acknowledged).toBeGreaterThan(100);
    for (const group of report.counts.groups) expect(group.messages).toBe(report.counts.stored);
  }, 240_000);
});
