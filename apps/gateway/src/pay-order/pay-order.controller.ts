import { Controller, HttpCode, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { PaymentResponse } from '#libs/contracts';
import { CurrentUser, type User } from '#libs/service-kit';
import { Caller } from '../upstream/call.js';
import { PayOrder } from './pay-order.js';

@Controller('api/orders')
export class PayOrderController {
  constructor(private readonly payOrder: PayOrder) {}

  @Post(':orderNo/payments')
  @HttpCode(201)
  pay(
    @Param('orderNo') orderNo: string,
    @CurrentUser() user: User,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PaymentResponse> {
    return this.payOrder.execute({
      orderNo,
      buyerId: user.userId,
      caller: new Caller(request, reply),
      origin: { host: request.host, protocol: request.protocol },
    });
  }
}
