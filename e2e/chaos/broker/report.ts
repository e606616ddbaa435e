import { cpus } from 'node:os';
import type { CheckResult } from './checker/check.js';
import { violationLines } from '../violations.js';
import { VIOLATIONS } from './checker/violation.js';
import type { Strike } from './nemesis.js';
import type { ChaosOptions } from './options.js';

/** What `--json` writes. */
export type ChaosReport = {
  ok: boolean;
  seed: number;
  startedAt: string;
  /** From the first to the last strike's time, and the whole run with its drain. */
  struckForMs: number;
  tookMs: number;
  /** A start is a call, or now and then a burst of calls. */
  workload: { producers: number; consumers: number; startsPerSecond: number };
  machine: { node: string; cpus: string };
  kills: { broker: number; producers: number; consumers: number };
  pauses: number;
  /** From the start of a broker's process to its answer that it is ready. */
  brokerReadyMs: { p50: number; max: number };
  events: number;
  unexpectedEnds: readonly string[];
  strikes: readonly Strike[];
} & Pick<CheckResult, 'counts' | 'violations'>;

export function reportOf(run: {
  options: ChaosOptions;
  startedAt: Date;
  struckForMs: number;
  strikes: readonly Strike[];
  kills: ChaosReport['kills'];
  recoveriesMs: readonly number[];
  events: number;
  unexpectedEnds: readonly string[];
  result: CheckResult;
}): ChaosReport {
  const { options, result, unexpectedEnds, startedAt } = run;
  const ready = [...run.recoveriesMs].sort((left, right) => left - right).map(Math.round);
  const all = cpus();
  return {
    ok: result.ok && unexpectedEnds.length === 0,
    seed: options.seed,
    startedAt: startedAt.toISOString(),
    struckForMs: Math.round(run.struckForMs),
    tookMs: Date.now() - startedAt.getTime(),
    workload: {
      producers: options.producers,
      consumers: options.consumers,
      startsPerSecond: options.producers * options.rate,
    },
    machine: { node: process.version, cpus: `${all.length} × ${all[0]?.model ?? 'unknown'}` },
    kills: run.kills,
    pauses: run.strikes.filter(({ how }) => how === 'pause').length,
    brokerReadyMs: { p50: ready[Math.floor(ready.length / 2)] ?? 0, max: ready.at(-1) ?? 0 },
    events: run.events,
    counts: result.counts,
    violations: result.violations,
    unexpectedEnds,
    strikes: run.strikes,
  };
}

export function summaryOf(report: ChaosReport): string {
  const { counts, kills, violations } = report;
  const { sent, transactions, timers } = counts;
  const lines = [
    '',
    `seed ${report.seed}: struck for ${(report.struckForMs / 1000).toFixed(0)} s, ${report.events} events`,
    `  killed           broker ${kills.broker}, producers ${kills.producers}, consumers ${kills.consumers}; ${report.pauses} consumers paused`,
    `  broker ready     p50 ${report.brokerReadyMs.p50} ms, max ${report.brokerReadyMs.max} ms after its start`,
    `  sent             ${sent.acknowledged} acknowledged, ${sent.refused} refused, ${sent.unknown} unknown (${sent.unknownButStored} of them stored)`,
    `  stored           ${counts.stored}`,
    `  transactions     ${transactions.committed} committed, ${transactions.rolledBack} rolled back, ${transactions.undecided} undecided`,
    `  timers           ${timers.set} set, ${timers.fired} fired, ${timers.recalled} recalled; late p50 ${timers.latenessMs.p50} ms, p99 ${timers.latenessMs.p99}, max ${timers.latenessMs.max} (while the broker was down, too)`,
  ];
  for (const { group, messages, duplicates, retries, deadLetters, refused, stale } of counts.groups)
    lines.push(
      `  ${group.padEnd(17)}${messages} messages, ${duplicates} delivered again (${retries} of them asked for), ${deadLetters} dead letters, ${refused} late verdicts, ${stale} late copies`,
    );
  lines.push('');
  lines.push(...violationLines(violations, VIOLATIONS));
  lines.push(...report.unexpectedEnds.map((end) => `UNEXPECTED END ${end}`));
  lines.push(report.ok ? 'every promise was kept' : 'promises were broken', '');
  return lines.join('\n');
}
