import { Controller } from '@nestjs/common';
import { PaymentTimeout } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { ChangeOrders } from '../change-orders/change-orders.js';
import { orderNotFound } from '../domain/errors.js';

/** Cancels what was not paid in time. After a flash sale thousands are due in the same second, hence batches. */
@Controller()
export class PaymentTimeoutConsumer {
  constructor(private readonly changeOrders: ChangeOrders) {}

  @ConsumeBatch(PaymentTimeout, {
    group: 'order.expire-unpaid',
    maxBatchMessages: 200,
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle(deliveries: readonly Delivery<PaymentTimeout>[]): Promise<void> {
    const orderNos = deliveries.map(({ payload }) => payload.orderNo);
    const outcomes = await this.changeOrders.execute(
      orderNos.map((orderNo) => ({ orderNo, event: { type: 'payment-timed-out' } })),
    );
    const missing = orderNos.find((_, index) => outcomes[index] === undefined);
    if (missing !== undefined) throw orderNotFound(missing);
  }
}
