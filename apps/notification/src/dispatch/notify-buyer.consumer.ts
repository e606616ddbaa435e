import { Controller, Inject } from '@nestjs/common';
import { CodeRequested, OrderCancelled, OrderPaid, OrderRefunded } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import {
  orderCancelledNotification,
  orderPaidNotification,
  orderRefundedNotification,
  signInCodeNotification,
  type Notification,
} from '../domain/notifications.js';
import { DispatchNotification } from './dispatch-notification.js';

type NotifiableMessage = OrderPaid | OrderCancelled | OrderRefunded | CodeRequested;

/** Everything a buyer is told about, in one group. */
@Controller()
export class NotifyBuyerConsumer {
  constructor(
    private readonly dispatch: DispatchNotification,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Consume([OrderPaid, OrderCancelled, OrderRefunded, CodeRequested], {
    group: 'notification.dispatch',
    retry: backoff({ attempts: 10, firstDelayMs: 200 }),
  })
  async handle({ payload }: Delivery<NotifiableMessage>): Promise<void> {
    const notification = this.notificationOf(payload);
    if (notification !== undefined) await this.dispatch.execute(notification);
  }

  private notificationOf(message: NotifiableMessage): Notification | undefined {
    if ('paidAt' in message) return orderPaidNotification(message);
    if ('cancelledAt' in message) return orderCancelledNotification(message);
    if ('refundedAt' in message) return orderRefundedNotification(message);
    return signInCodeNotification(message, this.clock.now());
  }
}
