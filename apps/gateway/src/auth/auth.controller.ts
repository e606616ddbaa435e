import { Controller, HttpCode, Post } from '@nestjs/common';
import {
  OpenSession as OpenSessionRequest,
  RequestCode as RequestCodeRequest,
  type SessionResponse,
} from '#libs/contracts';
import { Public, ZodBody } from '#libs/service-kit';
import type { z } from 'zod';
import { OpenSession } from './open-session.js';
import { RequestCode } from './request-code.js';

@Controller('api/auth')
@Public()
export class AuthController {
  constructor(
    private readonly requestCode: RequestCode,
    private readonly openSession: OpenSession,
  ) {}

  @Post('codes')
  @HttpCode(202)
  async code(@ZodBody(RequestCodeRequest) { phone }: z.output<typeof RequestCodeRequest>): Promise<object> {
    await this.requestCode.execute(phone);
    return {};
  }

  @Post('sessions')
  @HttpCode(201)
  session(
    @ZodBody(OpenSessionRequest) { phone, code }: z.output<typeof OpenSessionRequest>,
  ): Promise<SessionResponse> {
    return this.openSession.execute(phone, code);
  }
}
