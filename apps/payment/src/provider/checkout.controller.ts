import { Controller, Get, Header, HttpCode, Param, Post } from '@nestjs/common';
import { CheckoutRequest } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { Public, ZodBody } from '#libs/service-kit';
import { checkoutPage } from './checkout-page.js';
import { checkOut } from './intent-state.js';
import { ProviderBook } from './provider-book.js';

/** More clicks at the same moment than an intent has states. */
const MAX_ROUNDS = 5;

/** Where a buyer "pays". Whoever has the URL may: it cannot be guessed, like a real checkout's. */
@Controller('api/provider/checkouts')
@Public()
export class CheckoutController {
  constructor(private readonly book: ProviderBook) {}

  @Get(':intentId')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('cache-control', 'no-store')
  async show(@Param('intentId') intentId: string): Promise<string> {
    return checkoutPage(await this.book.get(intentId));
  }

  /** 202: the outcome stands; the webhook will tell the shop. */
  @Post(':intentId')
  @HttpCode(202)
  async pay(
    @Param('intentId') intentId: string,
    @ZodBody(CheckoutRequest) request: CheckoutRequest,
  ): Promise<void> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const intent = await this.book.get(intentId);
      const to = checkOut(intent.status, request.outcome);
      if (to === undefined) return;
      const type = to === 'CAPTURED' ? 'payment.succeeded' : 'payment.failed';
      const { delayMs, duplicates } = request;
      if (await this.book.move(intent, to, { type, delayMs, duplicates })) return;
    }
    throw new DomainError('CHECKOUT_CONTESTED', 'transient', 'Too many clicks at once.', 1_000);
  }
}
