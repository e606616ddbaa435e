import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/payment';
import { PaymentRefunded, RefundReason, type RefundRequested } from '#libs/contracts';
import { MessageBus } from '#libs/messaging';
import { paymentNotCaptured, paymentNotFound } from '../domain/errors.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';

/**
 * Asks the provider for a refund, at most one per payment. The refund's row comes first and its id is the
 * provider's idempotency key, so every repeat asks for the very same refund. That it has
 * happened is known when the webhook says so.
 */
@Injectable()
export class RequestRefund {
  constructor(
    private readonly database: PrismaClient,
    private readonly bus: MessageBus,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
  ) {}

  /** @throws {DomainError} `PAYMENT_NOT_FOUND`, `PAYMENT_NOT_CAPTURED`, `PAYMENT_PROVIDER_UNAVAILABLE`. */
  async execute(request: RefundRequested): Promise<void> {
    const payment = await this.database.payment.findUnique({ where: { id: request.paymentId } });
    if (payment === null) throw paymentNotFound(request.paymentId);
    if (payment.status !== 'SUCCEEDED') throw paymentNotCaptured(payment.id);
    // The whole payment goes back, whatever amount the request names: a refund is for tickets that do not exist.
    await this.database.$executeRawUnsafe(
      `INSERT INTO refunds (id, payment_id, order_no, amount_minor, currency, reason, status, updated_at)
       VALUES ($1::uuid, $2::uuid, $3, $4::bigint, $5, $6, 'REQUESTED', now())
       ON CONFLICT (payment_id) DO NOTHING`,
      randomUUID(),
      payment.id,
      payment.orderNo,
      payment.amountMinor,
      payment.currency,
      request.reason,
    );
    const refund = await this.database.refund.findUniqueOrThrow({ where: { paymentId: payment.id } });
    if (refund.status === 'REQUESTED') {
      return this.provider.refund({ intentId: payment.intentId, idempotencyKey: refund.id });
    }
    if (request.unanswered !== true) return;
    // Who asks for what has been done has not heard that it was.
    await this.bus.send(PaymentRefunded, {
      ...{ paymentId: payment.id, orderNo: payment.orderNo, buyerId: payment.buyerId },
      ...{ amountMinor: Number(payment.amountMinor), currency: payment.currency },
      reason: RefundReason.parse(refund.reason),
      refundedAt: refund.updatedAt.toISOString(),
    });
  }
}
