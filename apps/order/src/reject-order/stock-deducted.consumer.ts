import { Controller } from '@nestjs/common';
import { StockDeducted } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { ChangeOrders } from '../change-orders/change-orders.js';
import { orderNotFound } from '../domain/errors.js';

/**
 * The ledger has the last word: an order whose tickets it refused is rejected, or refunded when it is
 * paid already. Deducted ones need nothing.
 */
@Controller()
export class StockDeductedConsumer {
  constructor(private readonly changeOrders: ChangeOrders) {}

  @ConsumeBatch(StockDeducted, {
    group: 'order.reject-refused',
    maxBatchMessages: 500,
    maxInFlightMessages: 1_000,
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle(deliveries: readonly Delivery<StockDeducted>[]): Promise<void> {
    const refused = deliveries.filter(({ payload }) => payload.outcome === 'refused');
    if (refused.length === 0) return;
    const orderNos = refused.map(({ payload }) => payload.orderNo);
    const outcomes = await this.changeOrders.execute(
      orderNos.map((orderNo) => ({ orderNo, event: { type: 'stock-refused' } })),
    );
    const missing = orderNos.find((_, index) => outcomes[index] === undefined);
    if (missing !== undefined) throw orderNotFound(missing);
  }
}
