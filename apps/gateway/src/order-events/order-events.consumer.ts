import { Controller } from '@nestjs/common';
import { OrderCancelled, OrderCreated, OrderPaid, OrderRefunded, OrderRejected } from '#libs/contracts';
import { Consume, isOf, type Delivery } from '#libs/messaging';
import type { StatusChange } from '../domain/order-progress.js';
import { OrderFeed } from './order-feed.js';

type OrderMessage = OrderCreated | OrderPaid | OrderCancelled | OrderRejected | OrderRefunded;

/**
 * Every gateway hears every change of an order, because any of them may hold the buyer's stream.
 * Broadcast is not retried: a stream that missed a message is set right at its next heartbeat.
 */
@Controller()
export class OrderEventsConsumer {
  constructor(private readonly feed: OrderFeed) {}

  @Consume([OrderCreated, OrderPaid, OrderCancelled, OrderRejected, OrderRefunded], {
    group: 'gateway.order-events',
    mode: 'broadcast',
  })
  async handle(delivery: Delivery<OrderMessage>): Promise<void> {
    this.feed.publish(changeOf(delivery));
  }
}

function changeOf(delivery: Delivery<OrderMessage>): StatusChange {
  const { orderNo } = delivery.payload;
  if (isOf(OrderCreated, delivery))
    return { orderNo, status: 'PENDING_PAYMENT', at: delivery.payload.createdAt };
  if (isOf(OrderPaid, delivery)) return { orderNo, status: 'PAID', at: delivery.payload.paidAt };
  if (isOf(OrderCancelled, delivery))
    return { orderNo, status: 'CANCELLED', at: delivery.payload.cancelledAt };
  if (isOf(OrderRejected, delivery)) return { orderNo, status: 'REJECTED', at: delivery.payload.rejectedAt };
  if (isOf(OrderRefunded, delivery)) return { orderNo, status: 'REFUNDED', at: delivery.payload.refundedAt };
  throw new TypeError(`${(delivery as Delivery<unknown>).contract.name} changes no status`);
}
