import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { DeliveryEnd, PipelineObserver } from '#libs/messaging';

/** From an update in memory to a handler that waits for a payment provider. */
const HANDLING_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
/** A flash sale's backlog is minutes old when it is worked off. */
const AGE_BUCKETS_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/** Counts how deliveries end. The series are bounded by what the code declares: groups, contracts, outcomes. */
export class DeliveryMetrics implements PipelineObserver {
  private readonly handling: Histogram<'group' | 'contract' | 'outcome'>;
  private readonly age: Histogram<'group' | 'contract'>;
  private readonly isPaused: Gauge<'group'>;
  private readonly deadLetters: Counter<'group' | 'contract' | 'reason'>;

  constructor(registry: Registry) {
    this.handling = new Histogram({
      name: 'messaging_handling_seconds',
      help: 'Time from the arrival of a delivery until its verdict was recorded.',
      labelNames: ['group', 'contract', 'outcome'],
      buckets: HANDLING_BUCKETS_SECONDS,
      registers: [registry],
    });
    this.age = new Histogram({
      name: 'messaging_age_seconds',
      help: 'Time from the storing of a message until its verdict was recorded.',
      labelNames: ['group', 'contract'],
      buckets: AGE_BUCKETS_SECONDS,
      registers: [registry],
    });
    this.isPaused = new Gauge({
      name: 'messaging_paused',
      help: '1 while the handlers of a group wait for something that is away.',
      labelNames: ['group'],
      registers: [registry],
    });
    this.deadLetters = new Counter({
      name: 'messaging_dead_letters_total',
      help: 'Messages that this service gave up.',
      labelNames: ['group', 'contract', 'reason'],
      registers: [registry],
    });
  }

  deliveryEnded({ group, contract, outcome, reason, handlingMs, ageMs }: DeliveryEnd): void {
    this.handling.observe({ group, contract, outcome }, handlingMs / 1000);
    this.age.observe({ group, contract }, ageMs / 1000);
    if (outcome === 'dead-lettered') this.deadLetters.inc({ group, contract, reason: reason ?? 'unknown' });
  }

  paused(group: string, isPaused: boolean): void {
    this.isPaused.set({ group }, isPaused ? 1 : 0);
  }
}
