import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { UserRegistered, type SessionResponse } from '#libs/contracts';
import { MessageBus } from '#libs/messaging';
import {
  CLOCK,
  HttpProblem,
  REDIS,
  SERVICE_CONFIG,
  signToken,
  type Clock,
  type ServiceConfig,
} from '#libs/service-kit';
import { BrokerGate } from '../broker-gate/broker-gate.js';
import { codeHashOf, userIdOf } from '../domain/phone-identity.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { CodeStore } from './code-store.js';
import { Identities } from './identities.js';

/** Trades a sign-in code for a token. */
@Injectable()
export class OpenSession {
  constructor(
    private readonly identities: Identities,
    private readonly codes: CodeStore,
    private readonly bus: MessageBus,
    private readonly gate: BrokerGate,
    @Inject(REDIS) private readonly redis: Redis,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(SERVICE_CONFIG) private readonly serviceConfig: ServiceConfig,
  ) {}

  /** @throws {HttpProblem} 401 `CODE_INVALID`, the same whether the code is wrong, used, expired or was never asked for. */
  async execute(phone: string, code: string): Promise<SessionResponse> {
    const keys = await this.identities.keys();
    const check = await this.codes.check(phone, codeHashOf(phone, code, keys), this.clock.now());
    if (check !== 'right')
      throw new HttpProblem(401, 'CODE_INVALID', 'The code is wrong or no longer valid.');
    const userId = userIdOf(phone, keys);
    await this.register(userId, phone);
    const token = signToken(
      { sub: userId, roles: [], expiresInSeconds: this.config.SESSION_TTL_SECONDS },
      this.serviceConfig.JWT_SECRET,
    );
    return { token, userId };
  }

  /**
   * Sent before it is remembered: a crash in between sends it again under the same id, the other way
   * round it would be lost.
   */
  private async register(userId: string, phone: string): Promise<void> {
    const key = `auth:user:${userId}`;
    if ((await this.redis.exists(key)) === 1) return;
    const registeredAt = new Date(this.clock.now()).toISOString();
    await this.gate.send(() =>
      this.bus.send(UserRegistered, { userId, phone, registeredAt }, { id: `user-registered:${userId}` }),
    );
    await this.redis.set(key, registeredAt, 'NX');
  }
}
