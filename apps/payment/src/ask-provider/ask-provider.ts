import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { Counter } from 'prom-client';
import type { Logger } from 'pino';
import { PrismaClient } from '#prisma/payment';
import type { PaymentWebhook } from '#libs/contracts';
import { kindOf } from '#libs/messaging';
import { CLOCK, LOGGER, Metrics, PeriodicJob, type Clock } from '#libs/service-kit';
import { AcceptWebhook } from '../accept-webhook/accept-webhook.js';
import { HearEvents } from './hear-events.js';
import { PAYMENT_CONFIG, type PaymentConfig } from '../payment.config.js';
import { PAYMENT_PROVIDER, type PaymentProvider, type ProviderIntent } from '../ports/payment-provider.js';

/** Of one run. A buyer who left the checkout open must not keep us asking: see `take`. */
const MAX_PAYMENTS = 50;
/** Checkouts are long closed by then. */
const MAX_AGE_DAYS = 7;

type Unheard = {
  id: string;
  intent_id: string;
  status: 'PENDING' | 'SUCCEEDED' | 'FAILED';
  /** Asked for, and not known to be done. */
  refund_id: string | null;
};

/**
 * The net under the webhooks: asks the provider about payments and refunds of which it has told nothing for long, and
 * takes its answer by the way a webhook would have gone. Has nothing to settle while webhooks arrive.
 */
@Injectable()
export class AskProvider implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly job: PeriodicJob;
  private readonly settled: Counter<'type'>;

  constructor(
    private readonly database: PrismaClient,
    private readonly acceptWebhook: AcceptWebhook,
    private readonly hearEvents: HearEvents,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.job = new PeriodicJob(
      'ask-provider',
      config.RECONCILE_INTERVAL_MS,
      async () => void (await this.execute()),
      logger,
    );
    this.settled = new Counter({
      name: 'payment_webhooks_missed_total',
      help: 'Outcomes that the provider had to be asked for, because no webhook came through.',
      labelNames: ['type'],
      registers: [metrics.registry],
    });
  }

  onApplicationBootstrap(): void {
    this.job.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.job.stop();
  }

  /**
   * One run. Returns how many outcomes were news to us.
   *
   * @throws {DomainError} `PAYMENT_PROVIDER_UNAVAILABLE`; the rest has its turn later.
   */
  async execute(): Promise<number> {
    let news = 0;
    const taken = await this.take();
    for (const [index, payment] of taken.entries()) {
      try {
        news += await this.ask(payment);
      } catch (error) {
        if (kindOf(error) === 'transient') {
          await this.giveBack(taken.slice(index + 1));
          throw error;
        }
        // An intent that the provider does not know, say: the others must be asked for all the same.
        this.logger.error({ err: error, paymentId: payment.id }, 'a payment cannot be asked for');
      }
    }
    for (const { type } of await this.hearEvents.execute()) {
      this.settled.inc({ type });
      news += 1;
    }
    return news;
  }

  /**
   * Those that have waited longest since they were last asked for. The pauses grow with the age of what is waited for, a
   * tenth of it: five minutes old, every five minutes; a day old, every two and a half hours. Reads the table once: an index would cost
   * every payment more than it spares here. A payment of which a part was sent back is asked for as well: when the last part was
   * told, the provider's own book may not have known of it yet.
   */
  private async take(): Promise<Unheard[]> {
    return this.database.$queryRawUnsafe<Unheard[]>(
      `WITH parts AS MATERIALIZED (
         SELECT payment_id, max(received_at) AS at FROM webhook_anomalies
         WHERE kind = 'partial-refund' AND received_at > now() - $2::int * interval '1 day' GROUP BY payment_id),
       due AS MATERIALIZED (
         SELECT p.id, r.id AS refund_id FROM payments AS p LEFT JOIN refunds AS r ON r.payment_id = p.id AND r.status = 'REQUESTED'
         LEFT JOIN parts ON parts.payment_id = p.id::text
           AND NOT EXISTS (SELECT 1 FROM refunds AS known WHERE known.payment_id = p.id)
         CROSS JOIN LATERAL (SELECT now() - coalesce(r.created_at, parts.at, p.created_at) AS age,
                                    $1::int * interval '1 millisecond' AS pause) AS w
         WHERE (p.status IN ('PENDING', 'FAILED') OR r.id IS NOT NULL OR parts.at IS NOT NULL)
           AND w.age > w.pause AND w.age < $2::int * interval '1 day'
           AND coalesce(p.asked_at < now() - greatest(w.pause, w.age / 10), true)
         ORDER BY p.asked_at NULLS FIRST LIMIT $3::int FOR UPDATE OF p SKIP LOCKED)
       UPDATE payments AS p SET asked_at = now() FROM due WHERE p.id = due.id
       RETURNING p.id::text, p.intent_id, p.status, due.refund_id::text`,
      this.config.RECONCILE_AFTER_MS,
      MAX_AGE_DAYS,
      MAX_PAYMENTS,
    );
  }

  /** Those that had no turn come first in the next run, before the one that ended this: it may be alone in what it meets. */
  private async giveBack(unasked: readonly Unheard[]): Promise<void> {
    await this.database.$executeRawUnsafe(
      'UPDATE payments SET asked_at = NULL WHERE id = ANY($1::uuid[])',
      unasked.map(({ id }) => id),
    );
  }

  private async ask({ id, intent_id, status, refund_id }: Unheard): Promise<number> {
    const intent = await this.provider.intent(intent_id);
    if (intent.status === 'CAPTURED' && refund_id !== null) {
      // The request did not arrive, or came to nothing. The same key is the same refund.
      await this.provider.refund({ intentId: intent_id, idempotencyKey: refund_id });
      this.logger.warn({ paymentId: id }, 'the provider had not sent the money back: asked for it again');
    }
    const types = newsOf(intent.status, status);
    const now = new Date(this.clock.now()).toISOString();
    for (const type of types) {
      await this.acceptWebhook.execute({
        // The same news has the same name: one that is odd is recorded once, however often it is asked for.
        eventId: uuidOf(`${intent_id} ${type}`),
        type,
        paymentId: id,
        amountMinor: intent.amountMinor,
        currency: intent.currency,
        occurredAt: (type === 'payment.succeeded' ? intent.capturedAt : undefined) ?? now,
      });
      this.settled.inc({ type });
      this.logger.warn({ paymentId: id, type }, 'no webhook told of it: the provider was asked');
    }
    return types.length;
  }
}

/** What the provider's book says beyond ours. */
function newsOf(theirs: ProviderIntent['status'], ours: Unheard['status']): PaymentWebhook['type'][] {
  const capture = ours === 'SUCCEEDED' ? [] : (['payment.succeeded'] as const);
  switch (theirs) {
    case 'CAPTURED':
      return [...capture];
    case 'REFUNDED':
      return [...capture, 'refund.succeeded'];
    case 'DECLINED':
      return ours === 'PENDING' ? ['payment.failed'] : [];
    case 'OPEN':
      return [];
  }
}

function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
