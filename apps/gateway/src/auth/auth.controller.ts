import { Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  OpenSession as OpenSessionRequest,
  RequestCode as RequestCodeRequest,
  type SessionResponse,
} from '#libs/contracts';
import { Public, ZodBody } from '#libs/service-kit';
import type { z } from 'zod';
import { ClientAddress } from '../client-address/client-address.js';
import { phoneOf } from '../domain/phone.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { OpenSession } from './open-session.js';
import { RequestCode } from './request-code.js';

@Controller('api/auth')
@Public()
export class AuthController {
  constructor(
    private readonly requestCode: RequestCode,
    private readonly openSession: OpenSession,
    private readonly clientAddress: ClientAddress,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  @Post('codes')
  @HttpCode(202)
  async code(
    @ZodBody(RequestCodeRequest) { phone }: z.output<typeof RequestCodeRequest>,
    @Req() request: FastifyRequest,
  ): Promise<object> {
    await this.requestCode.execute(phoneOf(phone, this.config.PHONE_REGION), this.clientAddress.of(request));
    return {};
  }

  @Post('sessions')
  @HttpCode(201)
  session(
    @ZodBody(OpenSessionRequest) { phone, code }: z.output<typeof OpenSessionRequest>,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SessionResponse> {
    return this.openSession.execute({
      phone: phoneOf(phone, this.config.PHONE_REGION),
      code,
      address: this.clientAddress.of(request),
      hasLeft: () => reply.raw.destroyed,
    });
  }
}
