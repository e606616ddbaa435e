import { Controller } from '@nestjs/common';
import { OrderPaid } from '#libs/contracts';
import { ConsumeBatch, type Delivery } from '#libs/messaging';
import { MOVEMENT_BATCHES } from '../move-stock/batches.js';
import { MoveStock } from '../move-stock/move-stock.js';

/** The order is paid: its tickets are sold for good. After a cancellation they are taken again first. */
@Controller()
export class OrderPaidConsumer {
  constructor(private readonly moveStock: MoveStock) {}

  @ConsumeBatch(OrderPaid, { group: 'stock.confirm', ...MOVEMENT_BATCHES })
  async handle(deliveries: readonly Delivery<OrderPaid>[]): Promise<void> {
    await this.moveStock.execute(
      deliveries.map(({ payload }) => ({
        ...payload,
        fact: payload.reacquired ? 'paid-after-cancellation' : 'paid',
      })),
    );
  }
}
