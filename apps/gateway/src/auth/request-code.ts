import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { CodeExpired, CodeRequested } from '#libs/contracts';
import { envelope, MessageBus } from '#libs/messaging';
import { CLOCK, HttpProblem, REDIS, retryAfter, type Clock } from '#libs/service-kit';
import { BrokerGate } from '../broker-gate/broker-gate.js';
import { codeHashOf, digitsOf, newCode } from '../domain/phone-identity.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { CodeStore } from './code-store.js';
import { Identities } from './identities.js';

/** Makes a sign-in code and has it sent; says nothing about whether the phone is known. */
@Injectable()
export class RequestCode {
  private readonly requests: RateLimiterRedis;

  constructor(
    private readonly identities: Identities,
    private readonly codes: CodeStore,
    private readonly bus: MessageBus,
    private readonly gate: BrokerGate,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(REDIS) redis: Redis,
  ) {
    this.requests = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: 'rate:codes',
      points: config.SIGN_IN_CODES_PER_PHONE,
      duration: Math.ceil(config.SIGN_IN_CODE_TTL_MS / 1000),
    });
  }

  /**
   * @throws {HttpProblem} 429 `RATE_LIMITED`: every code is a paid SMS to somebody who may not want it.
   * @throws {DomainError} `SERVICE_UNAVAILABLE` while the broker is away
   * @throws {MessagingError} transient, when the broker does not take it in time
   */
  execute(phone: string): Promise<void> {
    return this.gate.pass(() => this.sendCode(phone));
  }

  private async sendCode(phone: string): Promise<void> {
    const keys = await this.identities.keys();
    await this.spendRequest(phone);
    const codeId = randomUUID();
    const code = newCode();
    const ttlMs = this.config.SIGN_IN_CODE_TTL_MS;
    const expiresAtMs = this.clock.now() + ttlMs;
    // The store is first: a code that was sent must work. One that is stored and not sent does no harm.
    await this.codes.put({ codeId, phone, hash: codeHashOf(phone, code, keys), expiresAtMs });
    const expiresAt = new Date(expiresAtMs).toISOString();
    await this.gate.send(() =>
      this.bus.sendBatch([
        envelope(CodeRequested, { codeId, phone, code, expiresAt }, { id: `code-requested:${codeId}` }),
        envelope(CodeExpired, { codeId, phone }, { id: `code-expired:${codeId}`, delayMs: ttlMs }),
      ]),
    );
  }

  private async spendRequest(phone: string): Promise<void> {
    try {
      await this.requests.consume(digitsOf(phone));
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      const headers = retryAfter(refusal.msBeforeNext);
      throw new HttpProblem(429, 'RATE_LIMITED', 'This phone was sent enough codes. Wait a while.', headers);
    }
  }
}
