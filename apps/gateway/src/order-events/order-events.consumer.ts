import { Controller } from '@nestjs/common';
import { OrderCancelled, OrderCreated, OrderPaid, OrderRefunded, OrderRejected } from '#libs/contracts';
import { Consume, type Delivery } from '#libs/messaging';
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
  async handle({ payload }: Delivery<OrderMessage>): Promise<void> {
    const { orderNo } = payload;
    if ('createdAt' in payload)
      this.feed.publish({ orderNo, status: 'PENDING_PAYMENT', at: payload.createdAt });
    else if ('paidAt' in payload) this.feed.publish({ orderNo, status: 'PAID', at: payload.paidAt });
    else if ('cancelledAt' in payload)
      this.feed.publish({ orderNo, status: 'CANCELLED', at: payload.cancelledAt });
    else if ('rejectedAt' in payload)
      this.feed.publish({ orderNo, status: 'REJECTED', at: payload.rejectedAt });
    else this.feed.publish({ orderNo, status: 'REFUNDED', at: payload.refundedAt });
  }
}
