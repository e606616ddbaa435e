import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/payment';
import type { CreatePaymentRequest } from '#libs/contracts';
import { orderNotPayable, paymentContested } from '../domain/errors.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';

export type CreatedPayment = { paymentId: string; intentId: string };

type CurrentRow = { id: string; intent_id: string; status: 'PENDING' | 'SUCCEEDED' };

/** Each lost race leaves a payment that the next round finds. */
const MAX_ROUNDS = 5;

/** One payment at a time per order: whoever asks again, or at the same moment, gets the one that is pending. */
@Injectable()
export class CreatePayment {
  constructor(
    private readonly database: PrismaClient,
    @Inject(PAYMENT_PROVIDER) private readonly provider: PaymentProvider,
  ) {}

  /** @throws {DomainError} `ORDER_NOT_PAYABLE` when a payment of the order has succeeded. */
  async execute(request: CreatePaymentRequest): Promise<CreatedPayment> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const current = await this.current(request.orderNo);
      if (current !== undefined) return current;
      const created = await this.create(request);
      if (created !== undefined) return created;
    }
    throw paymentContested(`The payment of ${request.orderNo}`);
  }

  private async current(orderNo: string): Promise<CreatedPayment | undefined> {
    const payments = await this.database.$queryRawUnsafe<CurrentRow[]>(
      `SELECT id::text, intent_id, status FROM payments
       WHERE order_no = $1 AND status IN ('PENDING', 'SUCCEEDED')`,
      orderNo,
    );
    if (payments.some((payment) => payment.status === 'SUCCEEDED')) throw orderNotPayable(orderNo);
    const pending = payments[0];
    return pending && { paymentId: pending.id, intentId: pending.intent_id };
  }

  /**
   * The intent comes first: a crash in between leaves an intent that nobody can reach, and never a payment
   * without a checkout. Undefined when another payment of the order came first.
   */
  private async create(request: CreatePaymentRequest): Promise<CreatedPayment | undefined> {
    const { orderNo, buyerId, amountMinor, currency } = request;
    const paymentId = randomUUID();
    const { intentId } = await this.provider.createIntent({ reference: paymentId, amountMinor, currency });
    const written = await this.database.$executeRawUnsafe(
      `INSERT INTO payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
       SELECT $1::uuid, $2, $3, $4::bigint, $5, 'PENDING', $6, now()
       WHERE NOT EXISTS (SELECT 1 FROM payments WHERE order_no = $2 AND status = 'SUCCEEDED')
       ON CONFLICT (order_no) WHERE status = 'PENDING' DO NOTHING`,
      paymentId,
      orderNo,
      buyerId,
      amountMinor,
      currency,
      intentId,
    );
    return written === 1 ? { paymentId, intentId } : undefined;
  }
}
