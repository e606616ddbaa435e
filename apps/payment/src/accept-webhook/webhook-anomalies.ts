import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { Counter } from 'prom-client';
import type { Logger } from 'pino';
import { PrismaClient } from '#prisma/payment';
import { LOGGER, Metrics } from '#libs/service-kit';
import { ANOMALY_KINDS, type AnomalyKind } from '../domain/payment-state.js';

/** What is kept of a body. A genuine webhook has a few hundred characters. */
const MAX_BODY_CHARS = 4_096;
const MAX_FIELD_CHARS = 200;

/** A genuine webhook without the usual effect. The fields are what could be read of it. */
export type Anomaly = {
  kind: AnomalyKind;
  eventId?: string | undefined;
  type?: string | undefined;
  paymentId?: string | undefined;
  body: string;
};

/** Keeps what an operator has to look at: in a table, in the log and as a metric, once per event. */
@Injectable()
export class WebhookAnomalies {
  private readonly counter: Counter<'kind'>;

  constructor(
    private readonly database: PrismaClient,
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

  /** Resolves when it is stored; one that is stored already is not counted again. */
  async record({ kind, eventId, type, paymentId, body }: Anomaly): Promise<void> {
    const id = eventId ?? `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const isNew = await this.database.$executeRawUnsafe(
      `INSERT INTO webhook_anomalies (event_id, kind, type, payment_id, body) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (event_id) DO NOTHING`,
      field(id),
      kind,
      type === undefined ? null : field(type),
      paymentId === undefined ? null : field(paymentId),
      storable(body.slice(0, MAX_BODY_CHARS)),
    );
    if (isNew === 0) return;
    this.counter.inc({ kind });
    const level = kind === 'unknown-type' ? 'info' : 'error';
    this.logger[level]({ kind, eventId: id, type, paymentId }, 'a webhook that somebody should look at');
  }
}

/** No text column takes a NUL, nor half a surrogate pair. */
const storable = (text: string): string => text.replaceAll(/[\0\p{Cs}]/gu, '\uFFFD');
const field = (text: string): string => storable(text.slice(0, MAX_FIELD_CHARS));
