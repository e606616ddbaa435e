import { Controller, Get, Headers, HttpCode, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { Currency, Minor } from '#libs/contracts';
import { parseRequest, Roles, ZodBody, ZodQuery } from '#libs/service-kit';
import { ProviderBook, type Intent } from './provider-book.js';
import { RefundBook } from './refund-book.js';
import { WebhookQueue } from './webhooks/webhook-queue.js';

const NewIntent = z.strictObject({ reference: z.uuid(), amountMinor: Minor, currency: Currency });
const IntentId = z.string().min(1).max(64);
const NewRefund = z.strictObject({ intentId: IntentId, amountMinor: Minor.min(1).optional() });
const ListEvents = z.strictObject({
  after: z
    .string()
    .regex(/^\d{1,18}$/)
    .default('0'),
});
const IdempotencyKey = z.string().regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 printable characters');

/** The provider's API for shops. */
@Controller('api/provider')
@Roles('service')
export class IntentsController {
  constructor(
    private readonly book: ProviderBook,
    private readonly refunds: RefundBook,
    private readonly queue: WebhookQueue,
  ) {}

  /** The same reference always has the same intent: it is the idempotency key. */
  @Post('intents')
  @HttpCode(201)
  async open(@ZodBody(NewIntent) intent: z.output<typeof NewIntent>): Promise<{ intentId: string }> {
    return { intentId: await this.book.open(intent) };
  }

  /** For a shop that has not heard of an intent for long. */
  @Get('intents/:intentId')
  async show(@Param('intentId') intentId: string): Promise<Intent> {
    return this.book.get(intentId);
  }

  /** For a shop that was told, and does not know: its webhooks were lost, or answered by somebody else. */
  @Get('events')
  async events(
    @ZodQuery(ListEvents) { after }: z.output<typeof ListEvents>,
  ): Promise<{ events: Awaited<ReturnType<WebhookQueue['list']>> }> {
    return { events: await this.queue.list(BigInt(after)) };
  }

  /** Sends money back, all that is left unless an amount is named. The same `Idempotency-Key` is the same refund. */
  @Post('refunds')
  @HttpCode(202)
  async refund(
    @ZodBody(NewRefund) refund: z.output<typeof NewRefund>,
    @Headers('idempotency-key') key: string | undefined,
  ): Promise<void> {
    const idempotencyKey = parseRequest(IdempotencyKey, key, 'idempotency-key');
    await this.refunds.refund({ ...refund, idempotencyKey });
  }
}
