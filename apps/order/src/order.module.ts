import { Module } from '@nestjs/common';
import type { Logger } from 'pino';
import { MessageBus } from '#libs/messaging';
import { PrismaClient } from '#prisma/order';
import {
  CLOCK,
  loadConfig,
  LOGGER,
  Metrics,
  Reconciliation,
  ServiceModule,
  type Clock,
} from '#libs/service-kit';
import { RedisStockModule } from '#libs/redis-stock';
import { CancelOrder } from './cancel-order/cancel-order.js';
import { CancelOrderController } from './cancel-order/cancel-order.controller.js';
import { ChangeOrders } from './change-orders/change-orders.js';
import { OrderCheckBack } from './check-back/order.check-back.js';
import { PaymentTimeoutConsumer } from './expire-order/payment-timeout.consumer.js';
import { PaymentRefundedConsumer } from './finish-refund/payment-refunded.consumer.js';
import { ORDER_CONFIG, OrderConfig } from './order.config.js';
import { OrderStore } from './order-store/order-store.js';
import { OrderSubmittedConsumer } from './place-orders/order-submitted.consumer.js';
import { PlaceOrders } from './place-orders/place-orders.js';
import { orderRules } from './reconcile-orders/order-rules.js';
import { ReadOrdersController } from './read-orders/read-orders.controller.js';
import { StockDeductedConsumer } from './reject-order/stock-deducted.consumer.js';
import { PaymentSucceededConsumer } from './settle-payment/payment-succeeded.consumer.js';
import { SettlePayment } from './settle-payment/settle-payment.js';

@Module({
  imports: [ServiceModule.forRoot({ name: 'order', prisma: PrismaClient, redis: true }), RedisStockModule],
  controllers: [
    OrderSubmittedConsumer,
    PaymentSucceededConsumer,
    PaymentTimeoutConsumer,
    StockDeductedConsumer,
    PaymentRefundedConsumer,
    CancelOrderController,
    ReadOrdersController,
  ],
  providers: [
    { provide: ORDER_CONFIG, useFactory: () => loadConfig(OrderConfig) },
    OrderStore,
    ChangeOrders,
    PlaceOrders,
    SettlePayment,
    CancelOrder,
    OrderCheckBack,
    {
      provide: Reconciliation,
      inject: [PrismaClient, OrderStore, ChangeOrders, MessageBus, CLOCK, ORDER_CONFIG, LOGGER, Metrics],
      useFactory: (
        ...[database, store, changeOrders, bus, clock, config, logger, metrics]: [
          PrismaClient,
          OrderStore,
          ChangeOrders,
          MessageBus,
          Clock,
          OrderConfig,
          Logger,
          Metrics,
        ]
      ) =>
        new Reconciliation(
          orderRules({ database, store, changeOrders, bus, clock, afterMs: config.RECONCILE_AFTER_MS }),
          { intervalMs: config.RECONCILE_INTERVAL_MS, logger, registry: metrics.registry },
        ),
    },
  ],
})
export class OrderModule {}
