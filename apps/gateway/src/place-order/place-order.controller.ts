import { Controller, Headers, HttpCode, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { IdempotencyKey, PlaceOrderRequest, type PlaceOrderResponse } from '#libs/contracts';
import { DomainError } from '#libs/messaging';
import { CurrentUser, HttpProblem, parseRequest, ZodBody, type User } from '#libs/service-kit';
import { Caller } from '../upstream/call.js';
import { BuyerRateLimit } from './buyer-rate-limit.js';
import { PlaceOrder } from './place-order.js';

@Controller('api/orders')
export class PlaceOrderController {
  constructor(
    private readonly placeOrder: PlaceOrder,
    private readonly rateLimit: BuyerRateLimit,
  ) {}

  @Post()
  @HttpCode(202)
  async place(
    @CurrentUser() user: User,
    @Headers('idempotency-key') key: string | undefined,
    @ZodBody(PlaceOrderRequest) body: PlaceOrderRequest,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PlaceOrderResponse> {
    const idempotencyKey = parseRequest(IdempotencyKey, key, 'Idempotency-Key');
    if (this.rateLimit.isOn) await this.rateLimit.spend(user.userId);
    try {
      return await this.placeOrder.execute(
        { ...body, buyerId: user.userId, idempotencyKey },
        new Caller(request, reply),
      );
    } catch (error) {
      throw isSaleNotOpen(error)
        ? new HttpProblem(403, error.code, error.message, {}, { cause: error })
        : error;
    }
  }
}

/** The one refusal whose HTTP number (the API says 403) is not that of its kind. */
const isSaleNotOpen = (error: unknown): error is DomainError =>
  error instanceof DomainError && error.code === 'SALE_NOT_OPEN';
