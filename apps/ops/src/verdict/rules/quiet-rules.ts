import type { GroupInfo, TimerInfo, TransactionInfo } from '#libs/messaging';
import { Gathered, type Finding } from '../finding.js';

export type BrokerState = {
  groups: readonly Pick<
    GroupInfo,
    'group' | 'mode' | 'lag' | 'deadLetters' | 'deadLettersDropped' | 'missed' | 'unreadable'
  >[];
  timers: Pick<TimerInfo, 'pastDue'>;
  transactions: TransactionInfo;
  /** Messages that services have written and not sent, those that were given up among them. */
  outboxes: readonly { service: string; unsent: number }[];
};

export const UNSENT = ['order', 'payment']
  .map((service) => `SELECT '${service}' AS service, count(*)::int AS unsent FROM "${service}".outbox`)
  .join(' UNION ALL ');

/**
 * Nothing is under way any more, and the broker has lost nothing that a group was to get. Dead letters are at rest:
 * they are counted, an alert tells of them; those that retention has dropped nobody can bring back.
 */
export function unrest({ groups, timers, transactions, outboxes }: BrokerState): {
  findings: Finding[];
  note: string;
} {
  const gathered = new Gathered();
  const add = (rule: string, says: string, examples: string[], count: number): void => {
    if (count > 0) gathered.add({ check: 'quiet', rule, says }, examples, count);
  };
  for (const { group, mode, lag, deadLettersDropped, missed, unreadable } of groups) {
    // A broadcast member starts at the end and keeps no position: it cannot lag, nor miss anything.
    if (mode === 'broadcast') continue;
    add('lag', 'messages that a group has yet to handle', [`${group} lags by ${lag}`], lag);
    add('missed', 'messages that a group never got', [`${group} missed ${missed.messages}`], missed.messages);
    add(
      'letters-dropped',
      'dead letters dropped',
      [`${group} lost ${deadLettersDropped}`],
      deadLettersDropped,
    );
    const unread = unreadable.map(
      ({ topic, partition, offset }) => `${group}: ${topic}-${partition} at ${offset}`,
    );
    add('unreadable', 'places that a group cannot read past', unread, unread.length);
  }
  const { pending, parked } = transactions;
  add('timers-past-due', 'timers past due', ['see npm run broker -- timers'], timers.pastDue);
  add('undecided', 'half messages undecided', ['see npm run broker -- transactions'], pending);
  for (const { service, unsent } of outboxes) {
    add('unsent', 'messages of an outbox not sent', [`${service} has ${unsent}`], unsent);
  }
  const parkedIds = parked.map(({ transactionId }) => transactionId);
  add('parked', 'half messages parked', parkedIds, parkedIds.length);

  const dead = groups.filter(({ deadLetters }) => deadLetters > 0);
  const letters = dead.map(({ group, deadLetters }) => `${group} ${deadLetters}`).join(', ');
  return {
    findings: gathered.findings,
    note: `no lag, no timer past due, no half message, no outbox that is not empty, nothing missed; dead letters: ${letters || 'none'}`,
  };
}
