import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CurrentUser, type User } from '#libs/service-kit';
import { Caller } from '../upstream/call.js';
import { OrderEvents } from './order-events.js';

@Controller('api/orders')
export class OrderEventsController {
  constructor(private readonly events: OrderEvents) {}

  /** Answers like `GET /api/orders/:orderNo` when there is no such order; else a stream. */
  @Get(':orderNo/events')
  async stream(
    @Param('orderNo') orderNo: string,
    @CurrentUser() user: User,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.events.stream({ orderNo, buyerId: user.userId, caller: new Caller(request, reply) }, () => {
      // From here on the response is the stream's; Fastify must not answer it a second time.
      reply.hijack();
      return { response: reply.raw, headers: { 'x-correlation-id': request.id } };
    });
  }
}
