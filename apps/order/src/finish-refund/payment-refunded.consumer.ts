import { Controller } from '@nestjs/common';
import { PaymentRefunded } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { ChangeOrders } from '../change-orders/change-orders.js';
import { orderNotFound, paymentNotSeen } from '../domain/errors.js';

/**
 * The money is back: the order is done, a paid one too. The refund of a second payment leaves a paid order as it
 * is, and one that overtook its payment waits for it.
 */
@Controller()
export class PaymentRefundedConsumer {
  constructor(private readonly changeOrders: ChangeOrders) {}

  @Consume(PaymentRefunded, {
    group: 'order.finish-refund',
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle({ payload }: Delivery<PaymentRefunded>): Promise<void> {
    const { orderNo, paymentId } = payload;
    const outcome = await this.changeOrders.one(orderNo, { type: 'payment-refunded', paymentId });
    if (outcome === undefined) throw orderNotFound(orderNo);
    if (outcome.decision.do === 'wait') throw paymentNotSeen(orderNo);
  }
}
