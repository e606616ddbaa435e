import { Controller, Get, Headers, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OutgoingHttpHeaders } from 'node:http';
import { StreamQuery, type StreamTokenResponse } from '#libs/contracts';
import {
  authenticate,
  CurrentUser,
  jwtSecretsOf,
  Public,
  SERVICE_CONFIG,
  signToken,
  ZodQuery,
} from '#libs/service-kit';
import type { ServiceConfig, User } from '#libs/service-kit';
import { ReadOrder } from '../read-order/read-order.js';
import { Caller } from '../upstream/call.js';
import { OrderEvents } from './order-events.js';
import { STREAM_HEADERS } from './order-stream.js';
import { StreamTokens } from './stream-tokens.js';

/** Long enough for one call. */
const CALL_TOKEN_SECONDS = 60;

@Controller('api/orders')
export class OrderEventsController {
  constructor(
    private readonly events: OrderEvents,
    private readonly readOrder: ReadOrder,
    private readonly tokens: StreamTokens,
    @Inject(SERVICE_CONFIG) private readonly config: ServiceConfig,
  ) {}

  /** For a browser's `EventSource`. */
  @Post(':orderNo/events/token')
  async token(
    @Param('orderNo') orderNo: string,
    @CurrentUser() { userId }: User,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamTokenResponse> {
    await this.readOrder.execute(orderNo, userId, new Caller(request, reply));
    return this.tokens.issue(orderNo, userId);
  }

  /**
   * Answers like `GET /api/orders/:orderNo` when there is no such order, with 204 when whoever comes back has seen the end
   * of it; else a stream. Public to the guard: it takes the stream's own token too.
   */
  @Get(':orderNo/events')
  @Public()
  async stream(
    @Param('orderNo') orderNo: string,
    @ZodQuery(StreamQuery) { token }: StreamQuery,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const buyerId =
      token === undefined
        ? (await authenticate(request.headers.authorization, jwtSecretsOf(this.config))).userId
        : this.tokens.buyerOf(token, orderNo);
    // The services know bearer tokens only. Anew for each call: a stream lasts longer than any of them should.
    const caller = new Caller(request, reply, token === undefined ? undefined : () => this.bearerOf(buyerId));
    if (request.method === 'HEAD') {
      await this.readOrder.execute(orderNo, buyerId, caller);
      await reply.headers(STREAM_HEADERS).send();
      return;
    }
    const outcome = await this.events.stream({ orderNo, buyerId, lastEventId, caller }, () => {
      const headers = reply.getHeaders() as OutgoingHttpHeaders;
      // From here on the response is the stream's; Fastify must not answer it a second time.
      reply.hijack();
      return { response: reply.raw, headers };
    });
    if (outcome === 'nothing-to-come') await reply.code(204).send();
  }

  private bearerOf(buyerId: string): string {
    const claims = { sub: buyerId, roles: [], expiresInSeconds: CALL_TOKEN_SECONDS };
    return `Bearer ${signToken(claims, this.config.JWT_SECRET)}`;
  }
}
