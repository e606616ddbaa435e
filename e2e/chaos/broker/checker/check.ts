import { checkDelivery, countStale } from './check-delivery.js';
import { checkTimers, checkTransactions } from './check-promises.js';
import { checkStorage } from './check-storage.js';
import { type Facts, type GroupFact, collectFacts } from './facts.js';
import type { History } from './history.js';
import { Findings, type Violations } from '../../violations.js';
import type { ViolationKind } from './violation.js';

export type GroupCounts = {
  group: string;
  /** Distinct messages. */
  messages: number;
  /** Deliveries beyond the first of a message; those that a consumer asked for by `retry` included. */
  duplicates: number;
  retries: number;
  deadLetters: number;
  /** Verdicts that came too late. */
  refused: number;
  /** Late copies of messages that were settled already; each was refused, or its consumer killed. */
  stale: number;
};

export type Counts = {
  sent: { acknowledged: number; refused: number; unknown: number; unknownButStored: number };
  stored: number;
  transactions: { committed: number; rolledBack: number; undecided: number };
  timers: {
    set: number;
    fired: number;
    recalled: number;
    latenessMs: { p50: number; p99: number; max: number };
  };
  groups: GroupCounts[];
};

export type CheckResult = {
  ok: boolean;
  counts: Counts;
  violations: Violations<ViolationKind>;
};

/**
 * Holds a history against everything the broker promises, in the manner of Jepsen's total-queue and kafka
 * workloads. Duplicates are counted, since at-least-once allows them; everything else is a violation.
 */
export function check(history: History): CheckResult {
  const facts = collectFacts(history);
  const findings = new Findings<ViolationKind>();
  const { report } = findings;
  for (const leftover of history.final.leftovers) report('not-drained', leftover);
  checkStorage(facts, history.final.log, report);
  for (const group of facts.groups) checkDelivery(facts, group, report);
  checkTransactions(facts, report);
  checkTimers(facts, report);
  return { ok: findings.ok, counts: count(facts), violations: findings.violations };
}

function count(facts: Facts): Counts {
  const plain = [...facts.messages.values()].filter(({ transaction }) => transaction === undefined);
  const acknowledged = plain.filter(({ ackedAt }) => ackedAt !== undefined).length;
  const refused = plain.filter(({ calls, refusals }) => refusals === calls).length;
  const unclear = plain.filter(({ ackedAt, calls, refusals }) => ackedAt === undefined && refusals < calls);
  const decisions = [...facts.transactions.values()].map(({ decision }) => decision);
  return {
    sent: {
      acknowledged,
      refused,
      unknown: unclear.length,
      unknownButStored: unclear.filter(({ id }) => facts.log.has(id)).length,
    },
    stored: facts.log.size,
    transactions: {
      committed: decisions.filter((decision) => decision === 'commit').length,
      rolledBack: decisions.filter((decision) => decision === 'rollback').length,
      undecided: decisions.filter((decision) => decision === undefined).length,
    },
    timers: countTimers(facts),
    groups: facts.groups.map(countGroup),
  };
}

function countTimers({ messages, log }: Facts): Counts['timers'] {
  const timers = [...messages.values()].filter(({ dueAtMs }) => dueAtMs !== undefined);
  const late: number[] = [];
  for (const { id, dueAtMs } of timers) {
    const row = log.get(id)?.[0];
    if (row !== undefined && dueAtMs !== undefined) late.push(row.storedAtMs - dueAtMs);
  }
  late.sort((left, right) => left - right);
  const quantile = (share: number): number => late[Math.ceil(late.length * share) - 1] ?? 0;
  return {
    set: timers.filter(({ ackedAt }) => ackedAt !== undefined).length,
    fired: late.length,
    recalled: timers.filter(({ recall }) => recall === 'confirmed').length,
    latenessMs: { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) },
  };
}

function countGroup({ name, deliveries, deadLetters }: GroupFact): GroupCounts {
  const counts = { messages: deliveries.size, duplicates: 0, retries: 0, refused: 0, stale: 0 };
  for (const tries of deliveries.values()) {
    counts.duplicates += tries.length - 1;
    counts.stale += countStale(tries);
    for (const { verdict, settledAt, refused } of tries) {
      if (verdict === 'retry' && settledAt !== undefined) counts.retries += 1;
      if (refused) counts.refused += 1;
    }
  }
  return { group: name, ...counts, deadLetters: deadLetters.size };
}
