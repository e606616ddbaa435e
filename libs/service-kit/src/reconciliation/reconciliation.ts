import type { OnApplicationBootstrap, OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import { z } from 'zod';
import { PeriodicJob } from '../jobs/periodic-job.js';

/** What a service that reconciles reads from its environment. */
export const ReconciliationConfig = z.object({
  /** How often it is looked. */
  RECONCILE_INTERVAL_MS: z.coerce.number().int().min(1_000).max(3_600_000).default(60_000),
  /**
   * How long something has to be overdue before it counts as lost. Below half a minute, what is still on its
   * way would be repeated: a check-back decides after that long.
   */
  RECONCILE_AFTER_MS: z.coerce.number().int().min(30_000).max(86_400_000).default(300_000),
});
export type ReconciliationConfig = z.output<typeof ReconciliationConfig>;

/** A repair that has not helped in this time will not; it is then reported, and again each time this has passed. */
export const REPORT_AGAIN_AFTER_MS = 3_600_000;
/** Cases of one rule in one round: a repair must not become a load of its own. The others wait for the next. */
const MAX_CASES = 200;
/** Keys in one line of the log. */
const MAX_LOGGED = 20;

/** Something that should not be. */
export type Case = {
  /** An order or payment number, for the log. */
  key: string;
  /** It was repaired before, and is still there. */
  wasRepaired: boolean;
};

/** One thing that can go missing between two services, found in the tables of the one that owns it. */
export type ReconciliationRule<Found extends Case = Case> = {
  /** For the metric and the log: what is wrong, as `order-overdue`. */
  name: string;
  /** Up to `limit` cases, oldest first; none that was marked less than `REPORT_AGAIN_AFTER_MS` ago. */
  find(limit: number): Promise<readonly Found[]>;
  /** Does again what is missing, by the message that does it else; harmless when it was not missing after all. */
  repair(cases: readonly Found[]): Promise<void>;
  /** Remembers that these have been dealt with. */
  mark(keys: readonly string[]): Promise<void>;
};

/**
 * The last net. Everything else here makes sure that nothing is lost; this looks whether something was: in a healthy
 * shop it never finds anything, and each case it finds is a bug, or an operator who threw something away. So it counts,
 * names and repairs, once. What is still there afterwards is left to a person.
 *
 * May run in several instances: two that find the same case send the same message, which is harmless.
 */
export class Reconciliation implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly cases: Counter<'rule' | 'outcome'>;
  private readonly job: PeriodicJob;

  constructor(
    private readonly rules: readonly ReconciliationRule[],
    options: { intervalMs: number; logger: Logger; registry: Registry },
  ) {
    this.logger = options.logger;
    this.cases = new Counter({
      name: 'reconciliation_cases_total',
      help: 'What was lost between services and found by looking: repaired, or unresolved because a repair had not helped.',
      labelNames: ['rule', 'outcome'] as const,
      registers: [options.registry],
    });
    // An alert needs the series before its first case.
    for (const { name: rule } of rules) {
      for (const outcome of ['repaired', 'unresolved']) this.cases.inc({ rule, outcome }, 0);
    }
    this.job = new PeriodicJob('reconciliation', options.intervalMs, () => this.execute(), options.logger);
  }

  private readonly logger: Logger;

  onApplicationBootstrap(): void {
    this.job.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.job.stop();
  }

  /** One round. Every rule has its turn; then the first failure is thrown. */
  async execute(): Promise<void> {
    const rounds = await Promise.allSettled(this.rules.map((rule) => this.reconcile(rule)));
    const failed = rounds.find((round) => round.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async reconcile(rule: ReconciliationRule): Promise<void> {
    const found = await rule.find(MAX_CASES);
    const lost = found.filter(({ wasRepaired }) => !wasRepaired);
    const unresolved = found.filter(({ wasRepaired }) => wasRepaired);
    if (lost.length > 0) {
      await rule.repair(lost);
      // A crash before this line repeats the repair, which is harmless.
      await rule.mark(keysOf(lost));
      this.cases.inc({ rule: rule.name, outcome: 'repaired' }, lost.length);
      this.logger.warn(said(rule, lost), 'something was lost between services; it has been done again');
    }
    if (unresolved.length > 0) {
      await rule.mark(keysOf(unresolved));
      this.cases.inc({ rule: rule.name, outcome: 'unresolved' }, unresolved.length);
      this.logger.error(said(rule, unresolved), 'a repair has not helped; somebody has to look');
    }
  }
}

const keysOf = (cases: readonly Case[]): string[] => cases.map(({ key }) => key);

const said = ({ name: rule }: ReconciliationRule, cases: readonly Case[]): object => ({
  rule,
  count: cases.length,
  keys: keysOf(cases).slice(0, MAX_LOGGED),
});
