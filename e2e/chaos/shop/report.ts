import { cpus } from 'node:os';
import { violationLines } from '../violations.js';
import type { CheckResult } from './checker/check.js';
import type { Struck } from './checker/history.js';
import { VIOLATIONS } from './checker/violation.js';

/** What `--json` writes. */
export type ShopChaosReport = {
  ok: boolean;
  scenario: string;
  seed: number;
  startedAt: string;
  struckForMs: number;
  tookMs: number;
  /** From the healing until the shop's verdict held, or waiting for it was given up. */
  quietAfterMs: number;
  load: { buyersPerSecond: number; buyers: number; ticketTypes: number; tickets: number };
  machine: { node: string; cpus: string };
  /** Faults that this machine does not allow, and why. */
  impossible: readonly string[];
  /** `kill`: `order` 2, `broker` 1 … */
  strikes: Record<string, Record<string, number>>;
  struck: readonly Struck[];
} & CheckResult;

export function reportOf(
  run: Omit<ShopChaosReport, 'ok' | 'counts' | 'violations' | 'strikes' | 'machine' | 'tookMs'> & {
    result: CheckResult;
  },
): ShopChaosReport {
  const { result, startedAt, struck, ...rest } = run;
  const strikes: ShopChaosReport['strikes'] = {};
  for (const { how, victim } of struck) {
    const whom = victim.slice(victim.indexOf(':') + 1);
    const victims = (strikes[how] ??= {});
    victims[whom] = (victims[whom] ?? 0) + 1;
  }
  const all = cpus();
  return {
    ...result,
    ...rest,
    startedAt,
    tookMs: Date.now() - Date.parse(startedAt),
    machine: { node: process.version, cpus: `${all.length} × ${all[0]?.model ?? 'unknown'}` },
    strikes,
    struck: struck.map((strike) => ({
      ...strike,
      fromMs: Math.round(strike.fromMs),
      untilMs: Math.round(strike.untilMs),
    })),
  };
}

export function summaryOf(report: ShopChaosReport): string {
  const { counts, load, strikes } = report;
  const table = (numbers: Record<string, number>): string =>
    Object.entries(numbers)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ') || 'none';
  const { keys, mails } = counts;
  const lines = [
    '',
    `${report.scenario}, seed ${report.seed}: struck for ${seconds(report.struckForMs)} s, quiet ${seconds(report.quietAfterMs)} s after it was healed`,
    ...Object.entries(strikes).map(([how, victims]) => `  ${how.padEnd(14)} ${table(victims)}`),
    ...report.impossible.map((fault) => `  NOT POSSIBLE HERE ${fault}`),
    `  buyers         ${load.buyers}, ${load.buyersPerSecond} a second, for ${load.tickets} tickets of ${load.ticketTypes} types; ${counts.calls} calls`,
    `  keys           ${keys.accepted} accepted, ${keys.refused} refused, ${keys.unclear} unclear (${keys.unclearButOrdered} of them ordered)`,
    `  answers        ${table(counts.answersToOrders)}`,
    ...Object.entries(counts.answerMs).map(
      ([kind, { p50, p99, max }]) => `  ${kind.padEnd(14)} answered in p50 ${p50} ms, p99 ${p99}, max ${max}`,
    ),
    `  orders         ${table(counts.orders)}`,
    `  payments       ${table(counts.payments)}`,
    `  mails          ${mails.received} received, ${mails.copies} of them copies`,
    '',
    ...violationLines(report.violations, VIOLATIONS),
    report.ok ? 'every promise was kept' : 'promises were broken',
    '',
  ];
  return lines.join('\n');
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(0);
