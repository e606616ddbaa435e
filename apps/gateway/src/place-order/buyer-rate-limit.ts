import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { HttpProblem, REDIS, retryAfter } from '#libs/service-kit';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/**
 * Requests to buy per user and second, counted in Redis so that several gateways share one count.
 * Off by default: it costs a second round trip per request.
 */
@Injectable()
export class BuyerRateLimit {
  private readonly limiter: RateLimiterRedis | undefined;

  constructor(@Inject(REDIS) redis: Redis, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const points = config.RATE_LIMIT_PER_USER;
    if (points === 0) return;
    this.limiter = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: 'rate:orders',
      points,
      duration: 1,
      // A user who is over the limit is refused from memory: a flood of one user must not become a flood on Redis.
      inMemoryBlockOnConsumed: points,
    });
  }

  get isOn(): boolean {
    return this.limiter !== undefined;
  }

  /** @throws {HttpProblem} 429 `RATE_LIMITED` with `Retry-After`. */
  async spend(userId: string): Promise<void> {
    try {
      await this.limiter?.consume(userId);
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      throw new HttpProblem(
        429,
        'RATE_LIMITED',
        'You are asking too often. Wait a moment.',
        retryAfter(refusal.msBeforeNext),
      );
    }
  }
}
