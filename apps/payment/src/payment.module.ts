import { Module } from '@nestjs/common';
import type { Logger } from 'pino';
import { PrismaClient } from '#prisma/payment';
import { MessageBus } from '#libs/messaging';
import {
  CLOCK,
  loadConfig,
  LOGGER,
  Metrics,
  Reconciliation,
  SERVICE_CONFIG,
  ServiceModule,
  type Clock,
  type ServiceConfig,
} from '#libs/service-kit';
import { AcceptWebhook } from './accept-webhook/accept-webhook.js';
import { PaymentBook } from './accept-webhook/payment-book.js';
import { PaymentWebhookController } from './accept-webhook/payment-webhook.controller.js';
import { AskProvider } from './ask-provider/ask-provider.js';
import { HearEvents } from './ask-provider/hear-events.js';
import { WebhookAnomalies } from './accept-webhook/webhook-anomalies.js';
import { HttpPaymentProvider } from './adapters/http-payment-provider.js';
import { PaymentCheckBack } from './check-back/payment.check-back.js';
import { CreatePayment } from './create-payment/create-payment.js';
import { CreatePaymentController } from './create-payment/create-payment.controller.js';
import { PAYMENT_CONFIG, PaymentConfig } from './payment.config.js';
import { PAYMENT_PROVIDER } from './ports/payment-provider.js';
import { SimulatedProviderModule } from './provider/simulated-provider.module.js';
import { OrderPaidConsumer } from './reconcile-payments/order-paid.consumer.js';
import { paymentRules } from './reconcile-payments/payment-rules.js';
import { RefundRequestedConsumer } from './request-refund/refund-requested.consumer.js';
import { RequestRefund } from './request-refund/request-refund.js';

@Module({
  imports: [
    ServiceModule.forRoot({
      name: 'payment',
      prisma: PrismaClient,
      // A replay is known by its row; one as old as this is refused for its timestamp.
      forget: [
        { table: 'webhook_events', since: 'received_at', keepDays: 30 },
        { table: 'provider_webhooks', since: 'delivered_at', keepDays: 30 },
        { table: 'webhook_anomalies', since: 'received_at', keepDays: 400 },
        // What nobody here needs: long enough to see what a provider has begun to send.
        { table: 'webhook_anomalies', since: 'received_at', keepDays: 30, where: "kind = 'unknown-type'" },
      ],
    }),
    SimulatedProviderModule,
  ],
  controllers: [
    CreatePaymentController,
    PaymentWebhookController,
    RefundRequestedConsumer,
    OrderPaidConsumer,
  ],
  providers: [
    { provide: PAYMENT_CONFIG, useFactory: () => loadConfig(PaymentConfig) },
    {
      provide: PAYMENT_PROVIDER,
      inject: [PAYMENT_CONFIG, SERVICE_CONFIG],
      useFactory: (config: PaymentConfig, service: ServiceConfig) =>
        new HttpPaymentProvider({ url: config.PROVIDER_URL, jwtSecret: service.JWT_SECRET }),
    },
    PaymentBook,
    CreatePayment,
    AcceptWebhook,
    WebhookAnomalies,
    RequestRefund,
    AskProvider,
    HearEvents,
    PaymentCheckBack,
    {
      provide: Reconciliation,
      inject: [PrismaClient, MessageBus, CLOCK, PAYMENT_CONFIG, LOGGER, Metrics],
      useFactory: (
        ...[database, bus, clock, config, logger, metrics]: [
          PrismaClient,
          MessageBus,
          Clock,
          PaymentConfig,
          Logger,
          Metrics,
        ]
      ) =>
        new Reconciliation(paymentRules({ database, bus, clock, afterMs: config.RECONCILE_AFTER_MS }), {
          intervalMs: config.RECONCILE_INTERVAL_MS,
          logger,
          registry: metrics.registry,
        }),
    },
  ],
})
export class PaymentModule {}
