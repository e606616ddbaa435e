import { Controller } from '@nestjs/common';
import { OrderCreated } from '#libs/contracts';
import { ConsumeBatch, type Delivery } from '#libs/messaging';
import { MOVEMENT_BATCHES } from '../move-stock/batches.js';
import { MoveStock } from '../move-stock/move-stock.js';

/** The order is written: its tickets leave the ledger, or are refused when none are left. */
@Controller()
export class OrderCreatedConsumer {
  constructor(private readonly moveStock: MoveStock) {}

  @ConsumeBatch(OrderCreated, { group: 'stock.deduct', ...MOVEMENT_BATCHES })
  async handle(deliveries: readonly Delivery<OrderCreated>[]): Promise<void> {
    await this.moveStock.execute(deliveries.map(({ payload }) => ({ ...payload, fact: 'created' })));
  }
}
