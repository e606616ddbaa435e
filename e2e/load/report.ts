import { verdictTable, type Verdict } from '../verdict/ask-verdict.js';
import { conditions, type Conditions } from './conditions.js';
import type { LatencySummary } from './latency.js';
import type { Measures } from './measures.js';
import type { LoadOptions } from './options.js';

/** What `--json` writes. The first ten are fixed by docs/design; the rest helps to read them. */
export type LoadReport = Conditions & {
  buyers: number;
  tickets: number;
  durationMs: number;
  acceptedPerSecond: number;
  persistedPerSecond: number;
  paidPerSecond: number;
  answers: Record<string, number>;
  acceptLatencyMs: LatencySummary;
  pendingPaymentLatencyMs: LatencySummary;
  verdict: Verdict;
  /** Of all buyers, also of those who were told no. */
  answerLatencyMs: LatencySummary;
  ratePerSecond: number;
  payShare: number;
  seed: number;
  retries: number;
  paid: number;
  ticketTypeId: string;
  /** Accepted orders that were asked for over HTTP at the end; `flaws` names the first that are not as they should be. */
  orders: { checked: number; flawed: number; flaws: string[] };
};

const MAX_FLAWS = 20;

export function reportOf(run: {
  options: LoadOptions;
  ticketTypeId: string;
  measures: Measures;
  durationMs: number;
  checked: number;
  flaws: readonly string[];
  verdict: Verdict;
}): LoadReport {
  const { options, measures } = run;
  const { acceptLatencyMs, pendingPaymentLatencyMs, answerLatencyMs } = measures.latencies();
  return {
    buyers: options.buyers,
    tickets: options.tickets,
    durationMs: Math.round(run.durationMs),
    ...measures.rates(),
    answers: Object.fromEntries([...measures.answers].sort(([, left], [, right]) => right - left)),
    acceptLatencyMs,
    pendingPaymentLatencyMs,
    verdict: run.verdict,
    answerLatencyMs,
    ratePerSecond: options.ratePerSecond,
    payShare: options.payShare,
    seed: options.seed,
    retries: measures.retries,
    paid: measures.paid.count,
    ticketTypeId: run.ticketTypeId,
    orders: { checked: run.checked, flawed: run.flaws.length, flaws: run.flaws.slice(0, MAX_FLAWS) },
    ...conditions(),
  };
}

/** Whether the run proves that the shop did right. */
export const succeeded = (report: LoadReport): boolean => report.verdict.ok && report.orders.flawed === 0;

export function summaryOf(report: LoadReport): string {
  const answers = Object.entries(report.answers)
    .map(([answer, count]) => `${answer} ${count}`)
    .join(', ');
  return [
    '',
    `${report.buyers} buyers for ${report.tickets} tickets, ${report.ratePerSecond}/s, seed ${report.seed}`,
    `  answers          ${answers}; ${report.retries} retries`,
    `  per second       ${report.acceptedPerSecond} accepted, ${report.persistedPerSecond} persisted, ${report.paidPerSecond} paid`,
    `  answered         ${latencyLine(report.answerLatencyMs)}`,
    `  accepted         ${latencyLine(report.acceptLatencyMs)}`,
    `  pending payment  ${latencyLine(report.pendingPaymentLatencyMs)}`,
    `  orders checked   ${report.orders.checked}, ${report.orders.flawed} not as they should be`,
    ...report.orders.flaws.slice(0, 5).map((flaw) => `                   ${flaw}`),
    `  took             ${(report.durationMs / 1000).toFixed(1)} s`,
    '',
    verdictTable(report.verdict),
    '',
  ].join('\n');
}

const latencyLine = ({ p50, p95, p99, p999, max }: LatencySummary): string =>
  `p50 ${p50} ms, p95 ${p95}, p99 ${p99}, p99.9 ${p999}, max ${max}`;
