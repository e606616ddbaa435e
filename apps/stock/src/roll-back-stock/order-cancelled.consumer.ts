import { Controller } from '@nestjs/common';
import { OrderCancelled } from '#libs/contracts';
import { ConsumeBatch, type Delivery } from '#libs/messaging';
import { MOVEMENT_BATCHES } from '../move-stock/batches.js';
import { MoveStock } from '../move-stock/move-stock.js';

/** The order is cancelled: its tickets go back to the ledger and to Redis, once. */
@Controller()
export class OrderCancelledConsumer {
  constructor(private readonly moveStock: MoveStock) {}

  @ConsumeBatch(OrderCancelled, { group: 'stock.rollback', ...MOVEMENT_BATCHES })
  async handle(deliveries: readonly Delivery<OrderCancelled>[]): Promise<void> {
    await this.moveStock.execute(deliveries.map(({ payload }) => ({ ...payload, fact: 'cancelled' })));
  }
}
