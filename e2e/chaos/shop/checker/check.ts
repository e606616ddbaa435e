import { Findings, type Violations } from '../../violations.js';
import { checkAnswers, checkEnds, checkMails } from './check-answers.js';
import { checkMoney } from './check-money.js';
import { checkCancels, checkOrders, checkReads, checkTickets } from './check-orders.js';
import { collectFacts, isAccepted, type Facts } from './facts.js';
import type { BuyerEvent, SaleHistory } from './history.js';
import type { ViolationKind } from './violation.js';

export type Counts = {
  calls: number;
  /** By what was said: `202`, `SOLD_OUT`, …, `none` for no answer. */
  answersToOrders: Record<string, number>;
  keys: { accepted: number; refused: number; unclear: number; unclearButOrdered: number };
  reads: number;
  /** Of all calls that were answered; by what was asked. */
  answerMs: Record<string, { p50: number; p99: number; max: number }>;
  checkouts: number;
  cancels: number;
  orders: Record<string, number>;
  payments: Record<string, number>;
  mails: { received: number; copies: number };
};

export type CheckResult = { ok: boolean; counts: Counts; violations: Violations<ViolationKind> };

/** Holds every answer that a caller got against the books, and the books against each other. */
export function check(history: SaleHistory): CheckResult {
  const facts = collectFacts(history);
  const findings = new Findings<ViolationKind>();
  const { report } = findings;
  checkOrders(facts, report);
  checkReads(facts, report);
  checkCancels(facts, report);
  checkTickets(facts, report);
  checkMoney(facts, report);
  checkMails(facts, report);
  checkAnswers(history, report);
  const { deadLetters, verdict } = history.books;
  for (const { group, count } of deadLetters) if (count > 0) report('dead-letter', `${group}: ${count}`);
  for (const { name, ok, detail } of verdict.checks) if (!ok) report('verdict', `${name}: ${detail}`);
  for (const name of history.notReady) report('not-ready', name);
  checkEnds(history, report);
  return { ok: findings.ok, counts: count(history, facts), violations: findings.violations };
}

function count({ events }: SaleHistory, facts: Facts): Counts {
  const { attempts, books, checkouts, cancels, ordersOf } = facts;
  const accepted = attempts.filter(({ orderNos }) => orderNos.size > 0);
  const refused = attempts.filter(({ isRefused }) => isRefused);
  const unclear = attempts.filter(({ orderNos, isRefused }) => orderNos.size === 0 && !isRefused);
  return {
    calls: events.length,
    answersToOrders: tally(
      attempts.flatMap(({ calls }) => calls),
      (call) => (isAccepted(call) ? '202' : (call.answer.code ?? String(call.answer.status || 'none'))),
    ),
    keys: {
      accepted: accepted.length,
      refused: refused.length,
      unclear: unclear.length,
      unclearButOrdered: unclear.filter(({ buyer }) => ordersOf.has(buyer)).length,
    },
    reads: [...facts.reads.values()].reduce((all, { length }) => all + length, 0),
    answerMs: latencies(events),
    checkouts: checkouts.length,
    cancels: cancels.length,
    orders: tally(books.orders, ({ status }) => status),
    payments: tally(books.intents, ({ status }) => status),
    mails: {
      received: books.mails.length,
      copies: books.mails.length - new Set(books.mails.map(({ messageId }) => messageId)).size,
    },
  };
}

function latencies(events: readonly BuyerEvent[]): Counts['answerMs'] {
  const byKind = new Map<string, number[]>();
  for (const { kind, answer, askedAtMs, answeredAtMs } of events) {
    if (answer.status === 0) continue;
    const times = byKind.get(kind) ?? [];
    byKind.set(kind, times);
    times.push(Math.round(answeredAtMs - askedAtMs));
  }
  return Object.fromEntries(
    [...byKind].map(([kind, times]) => {
      times.sort((one, other) => one - other);
      const quantile = (share: number): number => times[Math.ceil(times.length * share) - 1] ?? 0;
      return [kind, { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) }];
    }),
  );
}

function tally<Row>(rows: readonly Row[], nameOf: (row: Row) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const row of rows) counts[nameOf(row)] = (counts[nameOf(row)] ?? 0) + 1;
  return counts;
}
