import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { PaymentWebhook } from '#libs/contracts';
import { DomainError, kindOf } from '#libs/messaging';
import { CLOCK, LOGGER, type Clock } from '#libs/service-kit';
import { AcceptWebhook } from '../accept-webhook/accept-webhook.js';
import { PaymentBook } from '../accept-webhook/payment-book.js';
import { PAYMENT_CONFIG, type PaymentConfig } from '../payment.config.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';

/** Of one run, of a hundred events each; the next run goes on behind them. */
const MAX_PAGES = 10;
/** Known events are remembered for longer (`payment.module.ts`). */
const MAX_AGE_MS = 7 * 86_400_000;
/** Those that failed longest ago are left to the next start. */
const MAX_FAILED = 1_000;
/** Not a sign that others would fail too. */
const OF_ONE_PAYMENT = new Set(['PAYMENT_NOT_CAPTURED', 'PAYMENT_CONTESTED']);
const isOfOnePayment = (error: unknown): boolean =>
  error instanceof DomainError && OF_ONE_PAYMENT.has(error.code);

/**
 * Refunds and disputes are made at the provider by people, so there is nothing here that waits for them and could be asked
 * about. Their list is read instead, each event once its webhook is overdue, and what is news is taken as its webhook.
 */
@Injectable()
export class HearEvents {
  /** Behind which there may be news. Not kept: a start reads a week again, and meets what it knows. */
  private place: string | undefined;
  /** Could not be taken, the longest waiting first. One that fails for ever must not keep the others from being heard. */
  private readonly failed = new Set<PaymentWebhook>();

  constructor(
    private readonly book: PaymentBook,
    private readonly acceptWebhook: AcceptWebhook,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * One run; resolves to the events that were news to us. What could not be taken has its turn in the next.
   *
   * @throws {DomainError} `PAYMENT_PROVIDER_UNAVAILABLE` when the list cannot be read.
   */
  async execute(): Promise<PaymentWebhook[]> {
    const news: PaymentWebhook[] = [];
    const again = [...this.failed];
    let goesOn = await this.readOn(news);
    for (const webhook of again) {
      if (!goesOn) break;
      this.failed.delete(webhook);
      goesOn = await this.take(webhook, news);
    }
    return news;
  }

  /** False when the run is to end here. */
  private async readOn(news: PaymentWebhook[]): Promise<boolean> {
    for (let page = 0; page < MAX_PAGES; page++) {
      const events = await this.provider.events(this.place);
      for (const { place, webhook } of events) {
        // Its webhook may be on its way; and the list may still grow before it. A time far ahead of ours says nothing.
        if (webhook && Math.abs(this.ageMs(webhook)) < this.config.RECONCILE_AFTER_MS) return true;
        const goesOn = webhook === undefined || (await this.take(webhook, news));
        this.place = place;
        if (!goesOn) return false;
      }
      if (events.length === 0) return true;
    }
    return true;
  }

  private ageMs({ occurredAt }: PaymentWebhook): number {
    return this.clock.now() - Date.parse(occurredAt);
  }

  /** False when it failed of what would fail the others as well. */
  private async take(webhook: PaymentWebhook, news: PaymentWebhook[]): Promise<boolean> {
    if (this.ageMs(webhook) >= MAX_AGE_MS) return true;
    try {
      if (await this.hear(webhook)) news.push(webhook);
      return true;
    } catch (error) {
      this.failed.add(webhook);
      const [oldest] = this.failed;
      if (this.failed.size > MAX_FAILED && oldest !== undefined) this.failed.delete(oldest);
      this.logger.error({ err: error, paymentId: webhook.paymentId }, 'an event cannot be taken');
      return kindOf(error) !== 'transient' || isOfOnePayment(error);
    }
  }

  /** Whether it is about a payment of ours that has not heard of it. */
  private async hear(webhook: PaymentWebhook): Promise<boolean> {
    const [payment] = await this.book.find([webhook]);
    if (payment === undefined || payment.known_event) return false;
    await this.acceptWebhook.execute(webhook);
    this.logger.warn(
      { paymentId: webhook.paymentId, type: webhook.type },
      'no webhook told of it: it was in the provider’s list',
    );
    return true;
  }
}
