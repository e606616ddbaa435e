import { Controller } from '@nestjs/common';
import { PaymentAnomalyRecorded } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { AlertWatch } from './alert-watch.js';

/** Has an operator hear of what the provider did past the shop. */
@Controller()
export class PaymentAnomalyConsumer {
  constructor(private readonly alerts: AlertWatch) {}

  @Consume(PaymentAnomalyRecorded, {
    group: 'ops.payment-anomaly',
    retry: backoff({ attempts: 130, firstDelayMs: 200, maxDelayMs: 30_000 }),
  })
  async handle({ payload }: Delivery<PaymentAnomalyRecorded>): Promise<void> {
    await this.alerts.raiseAnomaly(payload);
  }
}
