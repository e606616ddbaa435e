import { Module } from '@nestjs/common';
import { loadConfig } from '#libs/service-kit';
import { PAYMENT_CONFIG, PaymentConfig } from '../payment.config.js';
import { CheckoutController } from './checkout.controller.js';
import { DashboardController } from './dashboard.controller.js';
import { IntentsController } from './intents.controller.js';
import { ProviderBook } from './provider-book.js';
import { RefundBook } from './refund-book.js';
import { WebhookDispatcher } from './webhooks/webhook-dispatcher.js';
import { WebhookQueue } from './webhooks/webhook-queue.js';

/** A payment provider as shops know them, for a shop that has none: reached by HTTP only, and with tables of its own. */
@Module({
  controllers: [IntentsController, CheckoutController, DashboardController],
  providers: [
    { provide: PAYMENT_CONFIG, useFactory: () => loadConfig(PaymentConfig) },
    ProviderBook,
    RefundBook,
    WebhookQueue,
    WebhookDispatcher,
  ],
})
export class SimulatedProviderModule {}
