import { Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { Currency, Minor } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { Roles, ZodBody } from '#libs/service-kit';
import { ProviderBook } from './provider-book.js';

const NewIntent = z.strictObject({ reference: z.uuid(), amountMinor: Minor, currency: Currency });
const NewRefund = z.strictObject({ intentId: z.string().min(1).max(64) });

/** The provider's API for shops. */
@Controller('api/provider')
@Roles('service')
export class IntentsController {
  constructor(private readonly book: ProviderBook) {}

  /** The same reference always has the same intent. */
  @Post('intents')
  @HttpCode(201)
  async open(@ZodBody(NewIntent) intent: z.output<typeof NewIntent>): Promise<{ intentId: string }> {
    return { intentId: await this.book.open(intent) };
  }

  /**
   * Sends all of an intent's money back. There is one refund per intent, so the intent itself is the
   * idempotency key; the header of that name is accepted, as a real provider would want it.
   */
  @Post('refunds')
  @HttpCode(202)
  async refund(@ZodBody(NewRefund) { intentId }: z.output<typeof NewRefund>): Promise<void> {
    const intent = await this.book.get(intentId);
    if (intent.status === 'REFUNDED') return;
    const isMoved =
      intent.status === 'CAPTURED' &&
      (await this.book.move(intent, 'REFUNDED', { type: 'refund.succeeded', delayMs: 0, duplicates: 0 }));
    if (isMoved || (await this.book.get(intentId)).status === 'REFUNDED') return;
    throw new DomainError('INTENT_NOT_CAPTURED', 'conflict', 'There is no money to send back.');
  }
}
