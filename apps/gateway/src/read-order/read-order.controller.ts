import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OrderView } from '#libs/contracts';
import { CurrentUser, type User } from '#libs/service-kit';
import { Caller } from '../upstream/call.js';
import { ReadOrder } from './read-order.js';

@Controller('api/orders')
export class ReadOrderController {
  constructor(private readonly readOrder: ReadOrder) {}

  @Get(':orderNo')
  read(
    @Param('orderNo') orderNo: string,
    @CurrentUser() user: User,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<OrderView> {
    return this.readOrder.execute(orderNo, user.userId, new Caller(request, reply));
  }
}
