import { Controller } from '@nestjs/common';
import { PaymentSucceeded } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { SettlePayment } from './settle-payment.js';

/**
 * Also covers a payment that overtakes its order, and a rollback that is still on its way: with the stock service away, an hour.
 * Not `UnavailableError`: that would have every payment wait for one that is late.
 */
export const PAYMENT_RETRY = backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 30_000 });

/** Pays the orders that money came for. */
@Controller()
export class PaymentSucceededConsumer {
  constructor(private readonly settlePayment: SettlePayment) {}

  @ConsumeBatch(PaymentSucceeded, {
    group: 'order.settle-payment',
    maxBatchMessages: 100,
    retry: PAYMENT_RETRY,
  })
  async handle(deliveries: readonly Delivery<PaymentSucceeded>[]): Promise<void> {
    await this.settlePayment.execute(deliveries.map(({ payload }) => payload));
  }
}
