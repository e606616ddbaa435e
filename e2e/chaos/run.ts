/**
 * `npm run chaos -- --minutes N --seed S`: kills the broker, its producers and its consumers at random moments
 * and proves from what they have seen that every promise was kept. Exit 1 when one was not.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal } from '../verdict/shop-access.js';
import { check } from './checker/check.js';
import { mergeHistories } from './checker/history.js';
import { Cluster } from './cluster.js';
import { readFinalState, untilQuiet } from './final-state.js';
import { type Strike, type Victim, planStrikes } from './nemesis.js';
import { type ChaosOptions, readOptions } from './options.js';
import { type ChaosReport, reportOf, summaryOf } from './report.js';
import { readHistories } from './workers/history-file.js';
import { pause } from './workers/worker.js';

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
    const strikes = await strikeAll(cluster, planned, durationMs);
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
 * Different victims may well be down together. Who is still down when its next strike is due is spared that
 * one: a broker that is killed again whenever it has come up would see no messages. Answers what was done.
 */
async function strikeAll(
  cluster: Cluster,
  planned: readonly Strike[],
  durationMs: number,
): Promise<Strike[]> {
  const beganAt = performance.now();
  const busy = new Map<Victim, Promise<void>>();
  const strikes: Strike[] = [];
  let failure: Error | undefined;
  for (const strike of planned) {
    await pause(Math.max(0, strike.atMs - (performance.now() - beganAt)));
    if (failure !== undefined || cluster.unexpectedEnds.length > 0) break;
    const { victim } = strike;
    if (busy.has(victim)) continue;
    strikes.push(strike);
    const done = cluster.strike(strike).then(() => void busy.delete(victim));
    done.catch((error: Error) => (failure = error));
    busy.set(victim, done);
  }
  if (failure === undefined) await pause(Math.max(0, durationMs - (performance.now() - beganAt)));
  await Promise.all(busy.values());
  return strikes;
}

async function main(): Promise<boolean> {
  const options = readOptions(process.argv.slice(2));
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

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  const text = error instanceof Refusal ? error.message : (error as Error).stack;
  process.stderr.write(`chaos: ${text}\n`);
  process.exitCode = 1;
}
