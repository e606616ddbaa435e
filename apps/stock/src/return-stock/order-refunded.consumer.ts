import { Controller } from '@nestjs/common';
import { OrderRefunded } from '#libs/contracts';
import { ConsumeBatch, type Delivery } from '#libs/messaging';
import { MOVEMENT_BATCHES } from '../move-stock/batches.js';
import { MoveStock } from '../move-stock/move-stock.js';

/** A paid order's money went back: its tickets are free again, once. An order that is refunded for want of tickets has none. */
@Controller()
export class OrderRefundedConsumer {
  constructor(private readonly moveStock: MoveStock) {}

  @ConsumeBatch(OrderRefunded, { group: 'stock.return', ...MOVEMENT_BATCHES })
  async handle(deliveries: readonly Delivery<OrderRefunded>[]): Promise<void> {
    const returned = deliveries.filter(({ payload }) => payload.ticketsReturned === true);
    if (returned.length === 0) return;
    await this.moveStock.execute(returned.map(({ payload }) => ({ ...payload, fact: 'refunded' })));
  }
}
