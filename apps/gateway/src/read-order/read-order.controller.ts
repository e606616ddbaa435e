import { Controller, Get, Param, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { OrderView } from '#libs/contracts';
import { CurrentUser, type User } from '#libs/service-kit';
import { callerOf } from '../upstream/call.js';
import { ReadOrder } from './read-order.js';

@Controller('api/orders')
export class ReadOrderController {
  constructor(private readonly readOrder: ReadOrder) {}

  @Get(':orderNo')
  read(
    @Param('orderNo') orderNo: string,
    @CurrentUser() user: User,
    @Req() request: FastifyRequest,
  ): Promise<OrderView> {
    return this.readOrder.execute(orderNo, user.userId, callerOf(request));
  }
}
