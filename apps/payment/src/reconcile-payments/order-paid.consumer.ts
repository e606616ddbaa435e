import { Controller } from '@nestjs/common';
import { OrderPaid } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { PrismaClient } from '#prisma/payment';

/** Remembers which captured payments their orders have answered. The other answer, a refund, has a row of its own. */
@Controller()
export class OrderPaidConsumer {
  constructor(private readonly database: PrismaClient) {}

  @ConsumeBatch(OrderPaid, {
    group: 'payment.note-paid',
    maxBatchMessages: 500,
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle(deliveries: readonly Delivery<OrderPaid>[]): Promise<void> {
    const paymentIds = deliveries.flatMap(({ payload }) => payload.paymentId ?? []);
    if (paymentIds.length === 0) return;
    // The rows are locked in order, so that batches which overlap cannot deadlock.
    await this.database.$executeRawUnsafe(
      `UPDATE payments SET answered_at = clock_timestamp() WHERE id IN (
         SELECT id FROM payments WHERE id = ANY($1::uuid[]) AND (answered_at IS NULL OR answered_at < updated_at)
         ORDER BY id FOR UPDATE)`,
      paymentIds,
    );
  }
}
