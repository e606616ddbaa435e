import { Controller, Inject } from '@nestjs/common';
import {
  CodeRequested,
  OrderCancelled,
  OrderPaid,
  OrderRefunded,
  OrderRejected,
  PaymentFailed,
  PaymentRefunded,
} from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import {
  orderCancelledNotification,
  orderPaidNotification,
  orderRefundedNotification,
  orderRejectedNotification,
  paymentDeclinedNotification,
  paymentRefundedNotification,
  signInCodeNotification,
} from '../domain/notifications.js';
import { DispatchNotifications } from './dispatch-notifications.js';

/** Everything a buyer is told about, in one group. */
const DISPATCH = {
  group: 'notification.dispatch',
  maxBatchMessages: 100,
  retry: backoff({ attempts: 10, firstDelayMs: 200 }),
};

@Controller()
export class NotifyBuyerConsumer {
  constructor(
    private readonly dispatch: DispatchNotifications,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @ConsumeBatch(OrderPaid, DISPATCH)
  async paid(batch: readonly Delivery<OrderPaid>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => orderPaidNotification(payload)));
  }

  @ConsumeBatch(OrderCancelled, DISPATCH)
  async cancelled(batch: readonly Delivery<OrderCancelled>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => orderCancelledNotification(payload)));
  }

  @ConsumeBatch(OrderRefunded, DISPATCH)
  async refunded(batch: readonly Delivery<OrderRefunded>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => orderRefundedNotification(payload)));
  }

  @ConsumeBatch(OrderRejected, DISPATCH)
  async rejected(batch: readonly Delivery<OrderRejected>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => orderRejectedNotification(payload)));
  }

  @ConsumeBatch(PaymentFailed, DISPATCH)
  async declined(batch: readonly Delivery<PaymentFailed>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => paymentDeclinedNotification(payload)));
  }

  @ConsumeBatch(PaymentRefunded, DISPATCH)
  async paymentRefunded(batch: readonly Delivery<PaymentRefunded>[]): Promise<void> {
    await this.dispatch.execute(batch.map(({ payload }) => paymentRefundedNotification(payload)));
  }

  @ConsumeBatch(CodeRequested, DISPATCH)
  async codeRequested(batch: readonly Delivery<CodeRequested>[]): Promise<void> {
    const nowMs = this.clock.now();
    await this.dispatch.execute(batch.map(({ payload }) => signInCodeNotification(payload, nowMs)));
  }
}
