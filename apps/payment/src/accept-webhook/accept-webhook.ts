import { Inject, Injectable } from '@nestjs/common';
import { PaymentFailed, PaymentRefunded, PaymentSucceeded, type PaymentWebhook } from '#libs/contracts';
import { envelope, MessageBus, type Envelope } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import { amountMismatch, paymentContested, paymentNotFound, refundNotFound } from '../domain/errors.js';
import { effectOf } from '../domain/payment-state.js';
import { PaymentBook, WriteRaceLost, type PaymentRow } from './payment-book.js';

export const PRODUCER_GROUP = 'payment';
/** A payment has fewer states than this. */
const MAX_ROUNDS = 5;

type Change = { message: Envelope; write: () => Promise<void> };

/**
 * Takes the provider's word for what became of the money, once, however often and in whatever order it
 * comes. The event, the new status and the message to the others are one transactional message.
 */
@Injectable()
export class AcceptWebhook {
  constructor(
    private readonly book: PaymentBook,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * A replay has no second effect and is not an error: the provider must stop repeating it.
   *
   * @throws {DomainError} `PAYMENT_NOT_FOUND`, `REFUND_NOT_FOUND`, `AMOUNT_MISMATCH`.
   */
  async execute(webhook: PaymentWebhook): Promise<void> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const payment = await this.book.find(webhook.paymentId, webhook.eventId);
      if (payment === undefined) throw paymentNotFound(webhook.paymentId);
      if (payment.known_event) return;
      if (webhook.amountMinor !== payment.amount_minor || webhook.currency !== payment.currency) {
        throw amountMismatch(webhook.paymentId);
      }
      const change = this.changeBy(webhook, payment);
      if (change === undefined) return this.book.remember(webhook);
      try {
        return await this.bus.transactional(PRODUCER_GROUP, [change.message], change.write);
      } catch (error) {
        // A copy of this webhook, or another one of this payment, was faster: look again at what is left to do.
        if (!(error instanceof WriteRaceLost)) throw error;
      }
    }
    throw paymentContested(`The payment ${webhook.paymentId}`);
  }

  /**
   * The messages carry the time of acceptance, not of the capture: the check-back tells by it how old a
   * half message is, and a webhook may come a day late.
   */
  private changeBy(webhook: PaymentWebhook, payment: PaymentRow): Change | undefined {
    const at = new Date(this.clock.now()).toISOString();
    const facts = {
      paymentId: payment.id,
      orderNo: payment.order_no,
      amountMinor: payment.amount_minor,
      currency: payment.currency,
    };
    const state = { payment: payment.status, refund: payment.refund_status ?? undefined };
    switch (effectOf(state, webhook.type)) {
      case 'capture':
        return {
          message: envelope(PaymentSucceeded, { ...facts, succeededAt: at }),
          write: () => this.book.settlePayment(webhook, ['PENDING', 'FAILED'], 'SUCCEEDED', at),
        };
      case 'decline':
        return {
          message: envelope(PaymentFailed, { ...facts, failedAt: at }),
          write: () => this.book.settlePayment(webhook, ['PENDING'], 'FAILED', at),
        };
      case 'refunded':
        return {
          message: envelope(PaymentRefunded, {
            ...facts,
            reason: payment.refund_reason ?? 'sold-out',
            refundedAt: at,
          }),
          write: () => this.book.settleRefund(webhook, at),
        };
      case 'not-asked-for':
        throw refundNotFound(webhook.paymentId);
      case 'nothing':
        return undefined;
    }
  }
}
