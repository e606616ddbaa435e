import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/payment';
import type { CreatePaymentRequest } from '#libs/contracts';
import { Batcher } from '#libs/service-kit';
import { orderNotPayable, paymentContested } from '../domain/errors.js';
import { PAYMENT_PROVIDER, type PaymentProvider } from '../ports/payment-provider.js';

export type CreatedPayment = { paymentId: string; intentId: string };

type NewPayment = CreatePaymentRequest & CreatedPayment;
type CurrentRow = { id: string; order_no: string; intent_id: string; status: 'PENDING' | 'SUCCEEDED' };

/** Each lost race leaves a payment that the next round finds. */
const MAX_ROUNDS = 5;
/** More than there are callers at once. */
const MAX_BATCH = 100;

/** One payment at a time per order: whoever asks again, or at the same moment, gets the one that is pending. Orders that come at the same time share their statements. */
@Injectable()
export class CreatePayment {
  private readonly reads = new Batcher(MAX_BATCH, (orderNos: readonly string[]) => this.read(orderNos));
  private readonly inserts = new Batcher(MAX_BATCH, (rows: readonly NewPayment[]) => this.insert(rows));

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
    const payments = await this.reads.add(orderNo);
    if (payments.some((payment) => payment.status === 'SUCCEEDED')) throw orderNotPayable(orderNo);
    const pending = payments[0];
    return pending && { paymentId: pending.id, intentId: pending.intent_id };
  }

  /**
   * The intent comes first: a crash in between leaves an intent that nobody can reach, and never a payment
   * without a checkout. Undefined when another payment of the order came first.
   */
  private async create(request: CreatePaymentRequest): Promise<CreatedPayment | undefined> {
    const { amountMinor, currency } = request;
    const paymentId = randomUUID();
    const { intentId } = await this.provider.createIntent({ reference: paymentId, amountMinor, currency });
    const isWritten = await this.inserts.add({ ...request, paymentId, intentId });
    return isWritten ? { paymentId, intentId } : undefined;
  }

  private async read(orderNos: readonly string[]): Promise<CurrentRow[][]> {
    const rows = await this.database.$queryRawUnsafe<CurrentRow[]>(
      `SELECT id::text, order_no, intent_id, status FROM payments
       WHERE order_no = ANY($1::text[]) AND status IN ('PENDING', 'SUCCEEDED')`,
      orderNos,
    );
    return orderNos.map((orderNo) => rows.filter((row) => row.order_no === orderNo));
  }

  /** Which of them were written. In the order of their numbers, so that batches which overlap cannot deadlock. */
  private async insert(payments: readonly NewPayment[]): Promise<boolean[]> {
    const rows = await this.database.$queryRawUnsafe<{ id: string }[]>(
      `INSERT INTO payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
       SELECT p.id, p.order_no, p.buyer_id, p.amount_minor, p.currency, 'PENDING', p.intent_id, now()
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
            AS p(id, order_no, buyer_id, amount_minor, currency, intent_id)
       WHERE NOT EXISTS (SELECT 1 FROM payments AS s WHERE s.order_no = p.order_no AND s.status = 'SUCCEEDED')
       ORDER BY p.order_no
       ON CONFLICT (order_no) WHERE status = 'PENDING' DO NOTHING
       RETURNING id::text`,
      payments.map(({ paymentId }) => paymentId),
      payments.map(({ orderNo }) => orderNo),
      payments.map(({ buyerId }) => buyerId),
      payments.map(({ amountMinor }) => amountMinor),
      payments.map(({ currency }) => currency),
      payments.map(({ intentId }) => intentId),
    );
    const written = new Set(rows.map(({ id }) => id));
    return payments.map(({ paymentId }) => written.has(paymentId));
  }
}
