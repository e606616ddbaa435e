import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/payment';
import { PaymentAnomalyRecorded, PaymentFailed, PaymentRefunded, PaymentSucceeded } from '#libs/contracts';
import { CheckBack, decideByWrite, type CheckedMessage, type TransactionDecision } from '#libs/messaging';
import { writesHaveEnded } from '#libs/service-kit';
import { PRODUCER_GROUP } from '../domain/producer-group.js';

/**
 * Answers for half messages whose sender died: does the payment say what the message says? When another
 * copy of the webhook wrote it, the message is sent once more than needed, which its consumers take.
 */
@Injectable()
export class PaymentCheckBack {
  constructor(private readonly database: PrismaClient) {}

  @CheckBack(PRODUCER_GROUP)
  async check(_transactionId: string, messages: readonly CheckedMessage[]): Promise<TransactionDecision> {
    // Captures come in batches, all else alone.
    const [message] = messages;
    switch (message?.contract) {
      case PaymentSucceeded.name: {
        const captured = messages.map(({ payload }) => PaymentSucceeded.payload.parse(payload));
        const paymentIds = captured.map(({ paymentId }) => paymentId);
        return this.decide(() => this.areCaptured(paymentIds), captured[0]?.succeededAt ?? '');
      }
      case PaymentFailed.name: {
        // A capture that came since outranks the decline: telling the buyer of it now would only mislead.
        const { paymentId, failedAt } = PaymentFailed.payload.parse(message.payload);
        return this.decide(async () => (await this.statusOf(paymentId)) === 'FAILED', failedAt);
      }
      case PaymentRefunded.name: {
        const { paymentId, refundedAt } = PaymentRefunded.payload.parse(message.payload);
        return this.decide(() => this.isRefunded(paymentId), refundedAt);
      }
      case PaymentAnomalyRecorded.name: {
        const { eventId, recordedAt } = PaymentAnomalyRecorded.payload.parse(message.payload);
        return this.decide(() => this.isRecorded(eventId, recordedAt), recordedAt);
      }
      default:
        return 'unknown';
    }
  }

  /** All of them, or nothing was written. A capture stays, so those of a batch that was written are found forever. */
  private async areCaptured(paymentIds: readonly string[]): Promise<boolean> {
    const captured = await this.database.payment.count({
      where: { id: { in: [...paymentIds] }, status: 'SUCCEEDED' },
    });
    return captured === paymentIds.length;
  }

  private async statusOf(paymentId: string): Promise<string | undefined> {
    return (await this.database.payment.findUnique({ where: { id: paymentId } }))?.status;
  }

  private async isRefunded(paymentId: string): Promise<boolean> {
    return (await this.database.refund.findUnique({ where: { paymentId } }))?.status === 'SUCCEEDED';
  }

  /** By this very message: a copy of the event has told of itself. */
  private async isRecorded(eventId: string, recordedAt: string): Promise<boolean> {
    const recorded = await this.database.webhookAnomaly.findUnique({ where: { eventId } });
    return recorded?.receivedAt.toISOString() === recordedAt;
  }

  private decide(isWritten: () => Promise<boolean>, at: string): Promise<TransactionDecision> {
    return decideByWrite({ isWritten, hasEnded: () => writesHaveEnded(this.database, at) });
  }
}
