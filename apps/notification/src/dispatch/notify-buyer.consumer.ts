import { Controller, Inject } from '@nestjs/common';
import { CodeRequested, OrderCancelled, OrderPaid, OrderRefunded } from '#libs/contracts';
import { backoff, Consume, isOf, type Delivery } from '#libs/messaging';
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
  async handle(delivery: Delivery<NotifiableMessage>): Promise<void> {
    const notification = this.notificationOf(delivery);
    if (notification !== undefined) await this.dispatch.execute(notification);
  }

  private notificationOf(delivery: Delivery<NotifiableMessage>): Notification | undefined {
    if (isOf(OrderPaid, delivery)) return orderPaidNotification(delivery.payload);
    if (isOf(OrderCancelled, delivery)) return orderCancelledNotification(delivery.payload);
    if (isOf(OrderRefunded, delivery)) return orderRefundedNotification(delivery.payload);
    if (isOf(CodeRequested, delivery)) return signInCodeNotification(delivery.payload, this.clock.now());
    throw new TypeError(`no notification is made of ${(delivery as Delivery<unknown>).contract.name}`);
  }
}
