import { Controller } from '@nestjs/common';
import { PaymentSucceeded } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { SettlePayment } from './settle-payment.js';

/** Pays the orders that money came for. */
@Controller()
export class PaymentSucceededConsumer {
  constructor(private readonly settlePayment: SettlePayment) {}

  @ConsumeBatch(PaymentSucceeded, {
    group: 'order.settle-payment',
    maxBatchMessages: 100,
    // Also covers a payment that overtakes its order, and a rollback that is still on its way.
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle(deliveries: readonly Delivery<PaymentSucceeded>[]): Promise<void> {
    await this.settlePayment.execute(deliveries.map(({ payload }) => payload));
  }
}
