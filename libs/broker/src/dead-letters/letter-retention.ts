import { BROKER } from '../audit/audit.js';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import type { DeadLetters } from './dead-letters.js';

export type DeadLetterRetention = {
  /** A dead letter that is older is dropped. Default 30 days. */
  maxAgeMs: number;
  /** The oldest of a group that has more are dropped. Default 100,000, some 20 MB of memory. */
  maxPerGroup: number;
};

export const DEAD_LETTER_DEFAULTS: DeadLetterRetention = {
  maxAgeMs: 30 * 24 * 3_600_000,
  maxPerGroup: 100_000,
};

/** Drops of one group within this time are told as one act in the audit, and once to the operator. */
const TOLD_EVERY_MS = 3_600_000;

/**
 * Keeps what nobody looks at from growing for ever: retention carries a live dead letter along.
 * Looked at with every tick, so the count is exceeded by what dies within a second at the most.
 */
export class LetterRetention {
  /** By group: the period in which it was told last. */
  private readonly told = new Map<string, number>();

  constructor(
    private readonly host: BrokerHost,
    private readonly deadLetters: DeadLetters,
    private readonly options: DeadLetterRetention,
  ) {}

  enforce(): void {
    const { deadLetters } = this;
    for (const group of deadLetters.groups()) {
      const surplus = this.surplusOf(group);
      if (surplus.count > 0) this.drop(group, surplus);
    }
  }

  /** How many may not stay, all of them before an offset of the dead-letter topic. */
  private surplusOf(group: string): { count: number; before: number } {
    const { deadLetters } = this;
    const diedBefore = this.host.now() - this.options.maxAgeMs;
    const tooMany = deadLetters.count(group) - this.options.maxPerGroup;
    const surplus = { count: 0, before: 0 };
    for (const { offset, atMs } of deadLetters.live(group)) {
      if (surplus.count >= tooMany && atMs >= diedBefore) break;
      surplus.count += 1;
      surplus.before = offset + 1;
    }
    return surplus;
  }

  private drop(group: string, { count, before }: { count: number; before: number }): void {
    const { host, deadLetters } = this;
    const atMs = host.now();
    const period = Math.floor(atMs / TOLD_EVERY_MS);
    const audit = {
      atMs,
      by: BROKER,
      action: 'dead-letters-dropped',
      group,
      count,
      run: `dropped ${group} ${period}`,
    } as const;
    host.commit(EntryType.DEAD_LETTERS_DROPPED, { group, before, audit });
    if (this.told.get(group) === period) return;
    this.told.set(group, period);
    host.report({
      message: `dead letters of ${group} are too old or too many and are dropped; ${deadLetters.dropped(group)} so far`,
    });
  }
}
