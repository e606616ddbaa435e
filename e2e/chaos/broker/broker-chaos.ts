import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './checker/check.js';
import { mergeHistories } from './checker/history.js';
import { Cluster } from './cluster.js';
import { readFinalState, untilQuiet } from './final-state.js';
import { strikeAll } from '../strike-all.js';
import { planStrikes } from './nemesis.js';
import { type ChaosOptions, readOptions } from './options.js';
import { type ChaosReport, reportOf, summaryOf } from './report.js';
import { readHistories } from './workers/history-file.js';

const DRAIN_WITHIN_MS = 120_000;
const MAX_DELAY_MS = 15_000;

async function run(options: ChaosOptions, dir: string): Promise<ChaosReport> {
  const startedAt = new Date();
  const durationMs = options.minutes * 60_000;
  const planned = planStrikes({ ...options, durationMs });
  const maxDelayMs = Math.min(MAX_DELAY_MS, durationMs / 3);
  const cluster = await Cluster.start({ ...options, dir, maxDelayMs });
  const stop = (): void => void cluster.destroy().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const beganAt = performance.now();
    const strikes = await strikeAll({
      planned,
      durationMs,
      strike: (strike) => cluster.strike(strike),
      isOver: () => cluster.unexpectedEnds.length > 0,
    });
    const struckForMs = performance.now() - beganAt;
    await cluster.heal();
    const final = await readFinalState(cluster.port, await untilQuiet(cluster.port, DRAIN_WITHIN_MS));
    await cluster.leave();
    const events = mergeHistories(readHistories(cluster.historyDir));
    writeFileSync(join(dir, 'final.json'), JSON.stringify(final));
    const { kills, recoveriesMs, unexpectedEnds } = cluster;
    const result = check({ events, final });
    const { length } = events;
    return reportOf({
      options,
      startedAt,
      struckForMs,
      strikes,
      kills,
      recoveriesMs,
      unexpectedEnds,
      events: length,
      result,
    });
  } finally {
    await cluster.destroy();
  }
}

/**
 * Kills the broker, its producers and its consumers at random moments and proves from what they have seen that
 * every promise was kept; false when one was not.
 *
 * @throws {Refusal} naming the option that is wrong.
 */
export async function brokerChaos(args: readonly string[]): Promise<boolean> {
  const options = readOptions(args);
  const dir = mkdtempSync(join(tmpdir(), 'stampede-chaos-'));
  let ok = false;
  try {
    process.stdout.write(`chaos: seed ${options.seed}, ${options.minutes} min, in ${dir}\n`);
    const report = await run(options, dir);
    process.stdout.write(summaryOf(report));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    ok = report.ok;
  } finally {
    if (ok && !options.keep) rmSync(dir, { recursive: true, force: true });
    else process.stdout.write(`the histories and the broker's data are in ${dir}\n`);
  }
  return ok;
}
