import { Inject, Injectable } from '@nestjs/common';
import { PaymentFailed, PaymentRefunded, PaymentSucceeded, type PaymentWebhook } from '#libs/contracts';
import {
  envelope,
  Header,
  MessageBus,
  traceContext,
  WriteRaceLost,
  type Envelope,
  type SendOptions,
} from '#libs/messaging';
import { Batcher, CLOCK, type Clock, type DatabaseTransaction } from '#libs/service-kit';
import { paymentContested, paymentNotCaptured, paymentNotFound } from '../domain/errors.js';
import { effectOf, type AnomalyKind, type PaymentState } from '../domain/payment-state.js';
import { PRODUCER_GROUP } from '../domain/producer-group.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';
import { PaymentBook, type PaymentRow } from './payment-book.js';
import { WebhookAnomalies } from './webhook-anomalies.js';

/** A payment has fewer states than this. */
const MAX_ROUNDS = 5;
/** A payment of ours is written within seconds of its intent. One that is unknown for longer was never ours. */
const FOREIGN_AFTER_MS = 600_000;

/** More than the gateway sends at once. */
const MAX_BATCH = 100;
const UNCAPTURED = ['PENDING', 'FAILED'] as const;

/** A webhook and the trace of the request that brought it. */
type Arrived = { webhook: PaymentWebhook; traceparent: string | undefined };
type Change = { message: Envelope; write: (tx?: DatabaseTransaction) => Promise<void> };
type Step = Change | 'nothing' | 'look-again';

/**
 * Takes the provider's word for what became of the money, once, however often and in whatever order it
 * comes. The event, the new status and the message to the others are one transactional message.
 *
 * Captures that arrive together share one such transaction. Only captures: a batch has one check-back, which
 * must be able to tell from the payments whether all of it was written, and `SUCCEEDED` is the one status that
 * stays. A declined payment may be captured a moment later; who asks then could not say whether the batch that
 * declined it was ever written, and its other messages would be lost or invented.
 */
@Injectable()
export class AcceptWebhook {
  private readonly captures = new Batcher(MAX_BATCH, (arrived: readonly Arrived[]) =>
    this.captureTogether(arrived),
  );

  constructor(
    private readonly book: PaymentBook,
    private readonly anomalies: WebhookAnomalies,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * A replay has no second effect and is not an error: the provider must stop repeating it. Neither is what no repeat
   * can mend: it is recorded for an operator.
   *
   * @throws {DomainError} for what a repeat finds settled: `PAYMENT_NOT_FOUND`, `PAYMENT_NOT_CAPTURED`, `PAYMENT_CONTESTED`,
   *   `PAYMENT_PROVIDER_UNAVAILABLE`.
   */
  async execute(webhook: PaymentWebhook): Promise<void> {
    const isAccepted =
      webhook.type === 'payment.succeeded' &&
      (await this.captures.add({ webhook, traceparent: traceContext.current() }));
    if (!isAccepted) await this.acceptAlone(webhook);
  }

  /** Which of these are done with. The others have something about them that is looked at one by one. */
  private async captureTogether(arrived: readonly Arrived[]): Promise<boolean[]> {
    const payments = await this.book.find(arrived.map(({ webhook }) => webhook));
    const captures = new Map<string, Arrived & { payment: PaymentRow }>();
    for (const [index, each] of arrived.entries()) {
      const payment = payments[index];
      if (payment === undefined || !isPlainCapture(each.webhook, payment)) continue;
      // The last event of a payment is taken for all of them: the others find it captured when their turn comes.
      captures.set(payment.id, { ...each, payment });
    }
    const isCaptured = await this.capture([...captures.values()]);
    return arrived.map(
      ({ webhook }, index) =>
        payments[index]?.known_event === true ||
        (isCaptured && captures.get(payments[index]?.id ?? '')?.webhook === webhook),
    );
  }

  /** False when another writer came first; nothing has happened then. */
  private async capture(captures: readonly (Arrived & { payment: PaymentRow })[]): Promise<boolean> {
    const at = new Date(this.clock.now()).toISOString();
    const messages = captures.map(({ payment, webhook: { occurredAt }, traceparent }) =>
      envelope(
        PaymentSucceeded,
        { ...factsOf(payment), succeededAt: at, capturedAt: occurredAt },
        continuing(traceparent),
      ),
    );
    const webhooks = captures.map(({ webhook }) => webhook);
    if (webhooks.length === 0) return true;
    try {
      await this.bus.transactional(PRODUCER_GROUP, messages, (tx?: DatabaseTransaction) =>
        this.book.settlePayments(webhooks, UNCAPTURED, 'SUCCEEDED', at, tx),
      );
      return true;
    } catch (error) {
      if (error instanceof WriteRaceLost) return false;
      throw error;
    }
  }

  private async acceptAlone(webhook: PaymentWebhook): Promise<void> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const [payment] = await this.book.find([webhook]);
      if (payment === undefined) return this.acceptForeign(webhook);
      if (payment.known_event) return;
      const step = await this.stepBy(webhook, payment);
      if (step === 'look-again') continue;
      if (step === 'nothing') return this.book.remember(webhook);
      try {
        return await this.bus.transactional(PRODUCER_GROUP, [step.message], step.write);
      } catch (error) {
        // A copy of this webhook, or another one of this payment, was faster: look again at what is left to do.
        if (!(error instanceof WriteRaceLost)) throw error;
      }
    }
    throw paymentContested(`The payment ${webhook.paymentId}`);
  }

  /** An intent is made before its payment is written, so an event may come before it. */
  private async acceptForeign(webhook: PaymentWebhook): Promise<void> {
    const ageMs = this.clock.now() - Date.parse(webhook.occurredAt);
    if (ageMs < FOREIGN_AFTER_MS) throw paymentNotFound(webhook.paymentId);
    await this.record('foreign-payment', webhook);
  }

  private record(kind: AnomalyKind, webhook: PaymentWebhook): Promise<void> {
    return this.anomalies.record({ ...webhook, kind, body: JSON.stringify(webhook) });
  }

  /**
   * A webhook tells of one part; with the parts before it, of which some may never be told, that may be all. The
   * provider knows. It need not know at once, so its no is none for good: `AskProvider` asks again. All of another amount
   * is not all of the payment, whose capture was not taken either.
   */
  private async isAllSentBack(payment: PaymentRow): Promise<boolean> {
    const { status, amountMinor, currency } = await this.provider.intent(payment.intent_id);
    return status === 'REFUNDED' && amountMinor === payment.amount_minor && currency === payment.currency;
  }

  /**
   * The messages carry the time of acceptance: the check-back tells by it how old a
   * half message is, and a webhook may come a day late.
   */
  private async stepBy(webhook: PaymentWebhook, payment: PaymentRow): Promise<Step> {
    const at = new Date(this.clock.now()).toISOString();
    const facts = factsOf(payment);
    const effect = effectOf(stateOf(payment), webhook);
    if (typeof effect === 'object') {
      if (effect.anomaly === 'partial-refund' && (await this.isAllSentBack(payment))) {
        return this.stepBy({ ...webhook, amountMinor: payment.amount_minor }, payment);
      }
      await this.record(effect.anomaly, webhook);
      return 'nothing';
    }
    switch (effect) {
      case 'capture':
        return {
          message: envelope(PaymentSucceeded, { ...facts, succeededAt: at, capturedAt: webhook.occurredAt }),
          write: (tx) => this.book.settlePayments([webhook], UNCAPTURED, 'SUCCEEDED', at, tx),
        };
      case 'decline':
        return {
          message: envelope(PaymentFailed, { ...facts, buyerId: payment.buyer_id, failedAt: at }),
          write: (tx) => this.book.settlePayments([webhook], ['PENDING'], 'FAILED', at, tx),
        };
      case 'refunded':
        return {
          message: envelope(PaymentRefunded, {
            ...facts,
            buyerId: payment.buyer_id,
            reason: payment.refund_reason ?? 'sold-out',
            refundedAt: at,
          }),
          write: (tx) => this.book.settleRefund(webhook, at, tx),
        };
      case 'refunded-by-provider':
        await this.record('refund-by-provider', webhook);
        await this.book.adoptRefund(payment);
        return 'look-again';
      case 'too-early':
        throw paymentNotCaptured(webhook.paymentId);
      case 'nothing':
        return 'nothing';
    }
  }
}

const stateOf = (payment: PaymentRow): PaymentState => ({
  amountMinor: payment.amount_minor,
  currency: payment.currency,
  payment: payment.status,
  refund: payment.refund_status ?? undefined,
});

const isPlainCapture = (webhook: PaymentWebhook, payment: PaymentRow): boolean =>
  !payment.known_event && effectOf(stateOf(payment), webhook) === 'capture';

const factsOf = ({ id, order_no, amount_minor, currency }: PaymentRow) => ({
  paymentId: id,
  orderNo: order_no,
  amountMinor: amount_minor,
  currency,
});

/** A batch has as many traces as webhooks; each message continues its own. */
const continuing = (traceparent: string | undefined): SendOptions =>
  traceparent === undefined ? {} : { headers: { [Header.traceparent]: traceparent } };
