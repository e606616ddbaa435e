import { Controller } from '@nestjs/common';
import { OrderSubmitted } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { PlaceOrders } from './place-orders.js';

/** One statement of this many rows is as fast per row as any larger one. */
const MAX_BATCH_MESSAGES = 500;

/** Writes the accepted orders, in batches: the peak of a sale ends here. */
@Controller()
export class OrderSubmittedConsumer {
  constructor(private readonly placeOrders: PlaceOrders) {}

  @ConsumeBatch(OrderSubmitted, {
    group: 'order.place',
    maxBatchMessages: MAX_BATCH_MESSAGES,
    maxInFlightMessages: 2 * MAX_BATCH_MESSAGES,
    // Ten minutes: an order is not given up while Redis or Postgres is being restarted.
    retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
  })
  async handle(deliveries: readonly Delivery<OrderSubmitted>[]): Promise<void> {
    await this.placeOrders.execute(deliveries.map(({ payload }) => payload));
  }
}
