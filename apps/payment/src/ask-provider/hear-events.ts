import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { PaymentWebhook } from '#libs/contracts';
import { kindOf } from '#libs/messaging';
import { CLOCK, LOGGER, type Clock } from '#libs/service-kit';
import { AcceptWebhook } from '../accept-webhook/accept-webhook.js';
import { PaymentBook } from '../accept-webhook/payment-book.js';
import { PAYMENT_CONFIG, type PaymentConfig } from '../payment.config.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';

/** Of one run, of a hundred events each; the next run goes on behind them. */
const MAX_PAGES = 10;
/** Known events are remembered for longer (`payment.module.ts`). */
const MAX_AGE_MS = 7 * 86_400_000;

/**
 * Refunds and disputes are made at the provider by people, so there is nothing here that waits for them and could be asked
 * about. Their list is read instead, each event once its webhook is overdue, and what is news is taken as its webhook.
 */
@Injectable()
export class HearEvents {
  /** Behind which there may be news. Not kept: a start reads a week again, and meets what it knows. */
  private place: string | undefined;

  constructor(
    private readonly book: PaymentBook,
    private readonly acceptWebhook: AcceptWebhook,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * One run; resolves to the events that were news to us.
   *
   * @throws {DomainError} `PAYMENT_PROVIDER_UNAVAILABLE`; what was not heard is heard by the next run.
   */
  async execute(): Promise<PaymentWebhook[]> {
    const news: PaymentWebhook[] = [];
    let place = this.place;
    let hasFailed = false;
    for (let page = 0; page < MAX_PAGES; page++) {
      const events = await this.provider.events(place);
      for (const { place: next, webhook } of events) {
        const ageMs = this.clock.now() - Date.parse(webhook.occurredAt);
        // Its webhook may be on its way; and the list may still grow before it.
        if (ageMs < this.config.RECONCILE_AFTER_MS) return news;
        if (ageMs < MAX_AGE_MS) {
          try {
            if (await this.hear(webhook)) news.push(webhook);
          } catch (error) {
            if (kindOf(error) === 'transient') throw error;
            hasFailed = true;
            this.logger.error({ err: error, paymentId: webhook.paymentId }, 'an event cannot be taken');
          }
        }
        place = next;
        if (!hasFailed) this.place = place;
      }
      if (events.length === 0) return news;
    }
    return news;
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
