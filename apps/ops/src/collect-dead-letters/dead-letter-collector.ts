import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { Counter } from 'prom-client';
import { BROKER_PORT, type BrokerConsumer, type BrokerPort, type DeliveredMessage } from '#libs/messaging';
import { LOGGER, Metrics } from '#libs/service-kit';
import { AlertWatch } from '../alerts/alert-watch.js';
import { deadLetterFrom, type DeadLetterRecord } from '../domain/dead-letter.js';
import { DeadLetterStore } from './dead-letter-store.js';

export const DEAD_LETTER_GROUP = 'ops.dead-letters';

/** Between two tries to join the group while the broker is away. */
const SUBSCRIBE_RETRY_MS = 2_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 60_000;
/** A batch is one statement: both bounds keep it far below what Postgres takes. */
const MAX_BATCH_MESSAGES = 200;
const MAX_IN_FLIGHT_BYTES = 8 * 1024 * 1024;

type Arrival = { delivery: DeliveredMessage; record: DeadLetterRecord };

/**
 * Copies every group's dead letters into the database. It takes them from the broker itself rather
 * than through `@Consume`, because what is in them may be anything, and because it must never give a
 * message up: its own dead letters would come back to it.
 */
@Injectable()
export class DeadLetterCollector implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly collected: Counter<'group' | 'reason'>;
  private consumer: BrokerConsumer | undefined;
  private retry: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly store: DeadLetterStore,
    private readonly alerts: AlertWatch,
    metrics: Metrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.collected = new Counter({
      name: 'stampede_dead_letters_total',
      help: 'Messages that a group gave up on.',
      labelNames: ['group', 'reason'] as const,
      registers: [metrics.registry],
    });
  }

  onApplicationBootstrap(): void {
    void this.subscribe();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    await this.consumer?.close();
  }

  /** Does not hold up the start: ops answers its HTTP calls while the broker is away. */
  private async subscribe(): Promise<void> {
    try {
      const consumer = await this.broker.subscribe(
        {
          group: DEAD_LETTER_GROUP,
          topics: [{ topic: '%DLQ%*' }],
          maxBatchMessages: MAX_BATCH_MESSAGES,
          maxInFlightBytes: MAX_IN_FLIGHT_BYTES,
        },
        (batch) => this.collect(batch),
      );
      if (this.stopped) return await consumer.close();
      this.consumer = consumer;
    } catch (error) {
      if (this.stopped) return;
      this.logger.warn({ err: error }, 'cannot join the dead letters yet');
      this.retry = setTimeout(() => void this.subscribe(), SUBSCRIBE_RETRY_MS);
    }
  }

  /** Settles every delivery of the batch; one that the database refuses does not hold up the others. */
  async collect(batch: readonly DeliveredMessage[]): Promise<void> {
    const arrivals = batch.map((delivery) => ({ delivery, record: deadLetterFrom(delivery.message) }));
    try {
      await this.keep(arrivals);
    } catch (error) {
      if (arrivals.length === 1) return this.tryLater(arrivals, error);
      for (const arrival of arrivals) {
        await this.keep([arrival]).catch((cause: unknown) => this.tryLater([arrival], cause));
      }
    }
    this.alerts.look();
  }

  private async keep(arrivals: readonly Arrival[]): Promise<void> {
    await this.store.keep(arrivals.map(({ record }) => record));
    for (const { delivery, record } of arrivals) {
      const { group, messageId, topic, tag, reason, error } = record;
      this.collected.inc({ group, reason });
      this.logger.warn({ group, messageId, topic, tag, reason, cause: error }, 'dead letter');
      await this.settle(delivery.ack());
    }
  }

  private async tryLater(arrivals: readonly Arrival[], error: unknown): Promise<void> {
    this.logger.error({ err: error }, 'a dead letter could not be stored, trying again');
    for (const { delivery } of arrivals) {
      const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(delivery.attempt - 1, 10), MAX_RETRY_MS);
      await this.settle(delivery.retry({ delayMs, error: String(error) }));
    }
  }

  private async settle(settled: Promise<void>): Promise<void> {
    try {
      await settled;
    } catch (error) {
      // The lease went to another member, or the broker is away: the letter comes again, and storing it is idempotent.
      this.logger.debug({ err: error }, 'a dead letter will be delivered again');
    }
  }
}
