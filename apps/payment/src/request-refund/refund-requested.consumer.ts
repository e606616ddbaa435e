import { Controller } from '@nestjs/common';
import { RefundRequested } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { RequestRefund } from './request-refund.js';

/** Sends money back that has no tickets to pay for. */
@Controller()
export class RefundRequestedConsumer {
  constructor(private readonly requestRefund: RequestRefund) {}

  @Consume(RefundRequested, {
    group: 'payment.refund',
    // Money is owed: an hour of a provider's outage is sat out before an operator has to look.
    retry: backoff({ attempts: 130, firstDelayMs: 200, maxDelayMs: 30_000 }),
  })
  async handle({ payload }: Delivery<RefundRequested>): Promise<void> {
    await this.requestRefund.execute(payload);
  }
}
