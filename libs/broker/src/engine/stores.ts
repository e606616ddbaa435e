import type { Audit } from '../audit/audit.js';
import type { DeadLetters } from '../dead-letters/dead-letters.js';
import type { Groups } from '../groups/groups.js';
import type { Sequences } from '../producers/sequences.js';
import type { Recalls } from '../timers/recalls.js';
import type { TimerStore } from '../timers/timer-store.js';
import type { RecentIds } from '../topics/recent-ids.js';
import type { Topics } from '../topics/topics.js';
import type { Transactions } from '../transactions/transactions.js';

/** What the broker knows, by subject. Each of its parts is given the few that it reads. */
export interface Stores {
  readonly topics: Topics;
  readonly groups: Groups;
  readonly timers: TimerStore;
  readonly recalls: Recalls;
  readonly transactions: Transactions;
  readonly deadLetters: DeadLetters;
  readonly audit: Audit;
  readonly sequences: Sequences;
  readonly recentIds: RecentIds;
}
