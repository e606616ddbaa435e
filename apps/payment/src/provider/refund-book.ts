import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/payment';
import type { PaymentWebhook } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { isUniqueViolation } from '#libs/service-kit';
import { keyReused, ProviderBook, type Intent } from './provider-book.js';
import { WebhookDispatcher } from './webhooks/webhook-dispatcher.js';

export type NewRefund = {
  intentId: string;
  /** Absent: all that has not been sent back yet. */
  amountMinor?: number | undefined;
  /** The same key is the same refund, however often it is asked for. */
  idempotencyKey: string;
};

/** Money that the simulated provider has sent back. A refund and the webhook that tells of it are one statement. */
@Injectable()
export class RefundBook {
  constructor(
    private readonly database: PrismaClient,
    private readonly book: ProviderBook,
    private readonly dispatcher: WebhookDispatcher,
  ) {}

  /**
   * Sends money back, once per key: a repeat changes nothing, and another key is another refund.
   *
   * @throws {DomainError} `INTENT_NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`, `INTENT_NOT_CAPTURED` also when less is left
   *   than was asked for.
   */
  async refund({ intentId, amountMinor, idempotencyKey }: NewRefund): Promise<void> {
    const intent = await this.book.get(intentId);
    if (await this.isDone(intent, amountMinor, idempotencyKey)) return;
    const refund = {
      key: idempotencyKey,
      amountMinor: amountMinor ?? intent.amountMinor - intent.refundedMinor,
    };
    if (await this.make(intent, refund)) this.dispatcher.wakeUp();
    // A repeat that came at the same moment may have been faster.
    else if (!(await this.isDone(intent, amountMinor, idempotencyKey))) {
      throw new DomainError('INTENT_NOT_CAPTURED', 'conflict', 'There is no such money to send back.');
    }
  }

  private async isDone(intent: Intent, amountMinor: number | undefined, key: string): Promise<boolean> {
    const known = await this.database.providerRefund.findUnique({ where: { key } });
    if (known === null) return false;
    const isSame =
      known.intentId === intent.id &&
      (amountMinor === undefined || amountMinor === Number(known.amountMinor));
    if (!isSame) throw keyReused(`The key ${key}`);
    return true;
  }

  /** False when so much is not there to be sent back, or the key is there already; nothing happens then. */
  private async make(intent: Intent, refund: { key: string; amountMinor: number }): Promise<boolean> {
    const webhook: PaymentWebhook = {
      eventId: randomUUID(),
      type: 'refund.succeeded',
      paymentId: intent.reference,
      amountMinor: refund.amountMinor,
      currency: intent.currency,
      occurredAt: new Date().toISOString(),
    };
    try {
      // The row of the intent decides between refunds of the same moment, a key that is there undoes all of it.
      const made = await this.database.$executeRawUnsafe(
        `WITH moved AS (
           UPDATE provider_intents
           SET refunded_minor = refunded_minor + $3::bigint,
               status = CASE refunded_minor + $3::bigint WHEN amount_minor THEN 'REFUNDED' ELSE status END
           WHERE id = $1 AND status = 'CAPTURED' AND refunded_minor + $3::bigint <= amount_minor
           RETURNING id),
         refund AS (
           INSERT INTO provider_refunds (key, intent_id, amount_minor) SELECT $2, id, $3::bigint FROM moved)
         INSERT INTO provider_webhooks (event_id, body, due_at) SELECT $4::uuid, $5, now() FROM moved`,
        intent.id,
        refund.key,
        refund.amountMinor,
        webhook.eventId,
        JSON.stringify(webhook),
      );
      return made === 1;
    } catch (error) {
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }
}
