import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { Counter } from 'prom-client';
import type { Logger } from 'pino';
import { PrismaClient } from '#prisma/payment';
import { PaymentAnomalyRecorded } from '#libs/contracts';
import { envelope, MessageBus, WriteRaceLost } from '#libs/messaging';
import { CLOCK, inTime, LOGGER, Metrics, type Clock, type DatabaseTransaction } from '#libs/service-kit';
import { paymentContested } from '../domain/errors.js';
import { ANOMALY_KINDS, type AnomalyKind } from '../domain/payment-state.js';
import { PRODUCER_GROUP } from '../domain/producer-group.js';

/** What is kept of a body. A genuine webhook has a few hundred characters. */
const MAX_BODY_CHARS = 4_096;
/** There may be one with each payment, and none of them is an operator's to look into. */
const MAX_UNKNOWN_BODY_CHARS = 500;
const MAX_FIELD_CHARS = 200;
/** A race is lost to a copy of the event, which then is there. */
const MAX_ROUNDS = 3;

/** A genuine webhook without the usual effect. The fields are what could be read of it. */
export type Anomaly = {
  kind: AnomalyKind;
  eventId?: string | undefined;
  type?: string | undefined;
  paymentId?: string | undefined;
  body: string;
};

/**
 * Keeps what an operator has to look at, once per event: in a table, in the log, as a metric, and as a message, of which ops makes an
 * alert. Row and message are one.
 */
@Injectable()
export class WebhookAnomalies {
  private readonly counter: Counter<'kind'>;

  constructor(
    private readonly database: PrismaClient,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.counter = new Counter({
      name: 'payment_webhook_anomalies_total',
      help: 'Genuine webhooks that were taken without the usual effect; see table webhook_anomalies.',
      labelNames: ['kind'],
      registers: [metrics.registry],
    });
    for (const kind of ANOMALY_KINDS) this.counter.inc({ kind }, 0);
  }

  /**
   * Resolves when it is stored; one that is stored already is neither counted nor told again.
   *
   * @throws {DomainError} `PAYMENT_CONTESTED` when it could not be stored in time.
   */
  async record(anomaly: Anomaly): Promise<void> {
    const { kind, type, paymentId, body } = anomaly;
    const eventId = field(anomaly.eventId ?? `sha256:${createHash('sha256').update(body).digest('hex')}`);
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      if ((await this.database.webhookAnomaly.findUnique({ where: { eventId } })) !== null) return;
      if (!(await this.store(eventId, anomaly))) continue;
      this.counter.inc({ kind });
      const level = isForOperator(kind) ? 'error' : 'info';
      this.logger[level]({ kind, eventId, type, paymentId }, 'a webhook that somebody should look at');
      return;
    }
    throw paymentContested(`The event ${eventId}`);
  }

  /** False when a copy of it was faster, or the write deadline has passed; nothing is stored or told then. */
  private async store(eventId: string, { kind, type, paymentId, body }: Anomaly): Promise<boolean> {
    const recordedAt = new Date(this.clock.now()).toISOString();
    const subject = paymentId === undefined ? {} : { paymentId: field(paymentId) };
    const messages = isForOperator(kind)
      ? [envelope(PaymentAnomalyRecorded, { eventId, kind, ...subject, recordedAt })]
      : [];
    try {
      await this.bus.transactional(
        PRODUCER_GROUP,
        messages,
        async (tx: DatabaseTransaction = this.database) => {
          const stored = await tx.$executeRawUnsafe(
            `WITH ${inTime('$6::text')}
           INSERT INTO webhook_anomalies (event_id, kind, type, payment_id, body, received_at)
           SELECT $1, $2, $3, $4, $5, $6::text::timestamptz WHERE (SELECT in_time.is_so FROM in_time)
           ON CONFLICT (event_id) DO NOTHING`,
            eventId,
            kind,
            type === undefined ? null : field(type),
            subject.paymentId ?? null,
            storable(body.slice(0, isForOperator(kind) ? MAX_BODY_CHARS : MAX_UNKNOWN_BODY_CHARS)),
            recordedAt,
          );
          if (stored === 0) throw new WriteRaceLost();
        },
      );
      return true;
    } catch (error) {
      if (error instanceof WriteRaceLost) return false;
      throw error;
    }
  }
}

/** Events that nobody here needs to know are no alarm. */
const isForOperator = (kind: AnomalyKind): boolean => kind !== 'unknown-type';

/** No text column takes a NUL, nor half a surrogate pair. */
const storable = (text: string): string => text.replaceAll(/[\0\p{Cs}]/gu, '\uFFFD');
const field = (text: string): string => storable(text.slice(0, MAX_FIELD_CHARS));
