import { Controller, HttpCode, Post } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Minor, type PaymentWebhook } from '#libs/contracts';
import { Roles, ZodBody } from '#libs/service-kit';
import { ProviderBook } from './provider-book.js';
import { RefundBook } from './refund-book.js';
import { WebhookDispatcher } from './webhooks/webhook-dispatcher.js';
import { WebhookQueue } from './webhooks/webhook-queue.js';

const OfIntent = z.strictObject({
  intentId: z.string().min(1).max(64),
  amountMinor: Minor.min(1).optional(),
});
type OfIntent = z.output<typeof OfIntent>;
type NewEvent = Omit<PaymentWebhook, 'eventId' | 'occurredAt'>;
const AnyEvent = z.looseObject({ type: z.string().min(1).max(100) });

/** What people do in a provider's dashboard, past every shop: the shop hears of it by webhook only. */
@Controller('api/provider/dashboard')
@Roles('service')
export class DashboardController {
  constructor(
    private readonly book: ProviderBook,
    private readonly refunds: RefundBook,
    private readonly queue: WebhookQueue,
    private readonly dispatcher: WebhookDispatcher,
  ) {}

  /** Sends money back, all that is left unless an amount is named. */
  @Post('refunds')
  @HttpCode(202)
  async refund(@ZodBody(OfIntent) refund: OfIntent): Promise<void> {
    await this.refunds.refund({ ...refund, idempotencyKey: `dashboard:${randomUUID()}` });
  }

  /** The buyer's bank takes the side of its customer: chargeback. */
  @Post('disputes')
  @HttpCode(202)
  async dispute(@ZodBody(OfIntent) { intentId, amountMinor }: OfIntent): Promise<void> {
    const intent = await this.book.get(intentId);
    await this.tell({
      type: 'dispute.opened',
      paymentId: intent.reference,
      amountMinor: amountMinor ?? intent.amountMinor,
      currency: intent.currency,
    });
  }

  /** An event of any type and content, as a provider adds them without asking. */
  @Post('events')
  @HttpCode(202)
  async event(@ZodBody(AnyEvent) event: z.output<typeof AnyEvent>): Promise<void> {
    await this.tell(event);
  }

  private async tell(event: NewEvent | z.output<typeof AnyEvent>): Promise<void> {
    const eventId = randomUUID();
    const body = { eventId, occurredAt: new Date().toISOString(), ...event };
    await this.queue.add(eventId, JSON.stringify(body));
    this.dispatcher.wakeUp();
  }
}
