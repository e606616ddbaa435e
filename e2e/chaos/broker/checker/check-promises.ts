import type { Facts, MessageFact, TransactionFact } from './facts.js';
import type { Report } from './violation.js';

/** Clocks are corrected in small steps while a run goes on. */
const CLOCK_TOLERANCE_MS = 5;

/** All or nothing, and what the producer decided. */
export function checkTransactions({ transactions, log }: Facts, report: Report): void {
  for (const transaction of transactions.values()) {
    const { name, messages, decision, refusals } = transaction;
    const stored = messages.filter(({ id }) => log.has(id)).length;
    if (stored > 0 && stored < messages.length)
      report('torn-transaction', `${stored} of ${messages.length} messages of ${name} (${decision})`);
    else if (stored > 0 && decision === 'rollback')
      report('phantom', `transaction ${name} was rolled back and is in the log`);
    else if (stored === 0 && decision === 'commit')
      report('lost', `transaction ${name} was committed and is not in the log`);
    if (isTaken(transaction) && refusals.length > 0)
      report('transaction-refused', `${decision} of ${name}: ${refusals.join(', ')}`);
  }
}

/** Only what was prepared for certain has a right to be decided. */
const isTaken = ({ prepared, decision }: TransactionFact): boolean => prepared && decision !== undefined;

/** Never early, never lost, never after a confirmed recall. */
export function checkTimers({ messages, log, groups }: Facts, report: Report): void {
  for (const message of messages.values()) {
    const { id, dueAtMs } = message;
    if (dueAtMs === undefined) continue;
    const rows = log.get(id);
    if (rows === undefined) {
      checkMissing(message, report);
      continue;
    }
    if (message.recall === 'confirmed') report('timer-recalled', `${id} was recalled and is in the log`);
    for (const { storedAtMs } of rows) reportEarly(id, dueAtMs - storedAtMs, 'stored', report);
    for (const { name, deliveries } of groups)
      for (const { atMs } of deliveries.get(id) ?? [])
        reportEarly(id, dueAtMs - atMs, `delivered to ${name}`, report);
  }
}

function checkMissing({ id, ackedAt, recall }: MessageFact, report: Report): void {
  if (ackedAt === undefined || recall === 'confirmed' || recall === 'unknown') return;
  const why = recall === 'denied' ? 'its recall was answered with false' : 'nobody recalled it';
  report('timer-lost', `${id} was set and never delivered; ${why}`);
}

function reportEarly(id: string, earlyMs: number, what: string, report: Report): void {
  if (earlyMs > CLOCK_TOLERANCE_MS) report('timer-early', `${id} was ${what} ${earlyMs} ms before its time`);
}
