import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { HttpProblem, REDIS, retryAfter } from '#libs/service-kit';
import { digitsOf, type Phone } from '../domain/phone.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

const DAY_SECONDS = 86_400;
/** An address from which a phone has signed in is known to be its owner's for this long. */
const FAMILIAR_SECONDS = 30 * DAY_SECONDS;
/** Phones that differ in no more than their last digits are one prefix: the ranges that are handed out, and abused, as one. */
const RANGE_DIGITS = 4;

/** Who asks for a code, or enters one. */
export type Asker = {
  phone: Phone;
  /** What counts as one address. */
  address: string;
  /** The two together, unreadable: `laneOf`. */
  lane: string;
};

type Limit = { name: string; points: number; seconds: number };

/**
 * What a stranger may cost the shop (each code is a paid SMS) and a phone's owner (who did not ask for it), counted in
 * Redis so that several gateways share one count. Nothing here locks an owner out: from an address where the phone has
 * signed in before, what others do with that phone does not count.
 */
@Injectable()
export class SignInLimits {
  private readonly codes;
  private readonly wrongCodes: RateLimiterRedis;
  private readonly homeRegion: string;

  constructor(
    @Inject(REDIS) private readonly redis: Redis,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
  ) {
    const limiter = ({ name, points, seconds }: Limit): RateLimiterRedis =>
      new RateLimiterRedis({ storeClient: redis, keyPrefix: `rate:${name}`, points, duration: seconds });
    const validity = Math.ceil(config.SIGN_IN_CODE_TTL_MS / 1000);
    const forPhone = config.SIGN_IN_CODES_PER_PHONE_PER_DAY;
    const perDay = (name: string, points: number): RateLimiterRedis =>
      limiter({ name, points, seconds: DAY_SECONDS });
    this.codes = {
      address: [
        limiter({ name: 'codes:address', points: config.SIGN_IN_CODES_PER_ADDRESS, seconds: validity }),
        perDay('codes:address-day', config.SIGN_IN_CODES_PER_ADDRESS_PER_DAY),
      ],
      // Half of a phone's: one stranger alone cannot use up all of them.
      lane: [perDay('codes:lane-day', Math.ceil(forPhone / 2))],
      phone: [
        limiter({ name: 'codes:phone', points: config.SIGN_IN_CODES_PER_PHONE, seconds: validity }),
        perDay('codes:phone-day', forPhone),
      ],
      prefix: [perDay('codes:prefix-day', config.SIGN_IN_CODES_PER_PREFIX_PER_DAY)],
      country: [perDay('codes:country-day', config.SIGN_IN_CODES_PER_FOREIGN_COUNTRY_PER_DAY)],
    };
    this.wrongCodes = limiter({
      name: 'wrong-codes',
      points: config.SIGN_IN_WRONG_CODES_PER_ADDRESS,
      seconds: validity,
    });
    this.homeRegion = config.PHONE_REGION;
  }

  /**
   * Counts a code that is asked for. The narrow limits of the asker come first: whoever is over them does not use up
   * anybody else's.
   *
   * @throws {HttpProblem} 429 `RATE_LIMITED` with `Retry-After`
   */
  async spendCode({ phone, address, lane }: Asker): Promise<void> {
    const digits = digitsOf(phone.e164);
    await spend(this.codes.address, address, 'Enough codes were asked for from your network.');
    await spend(this.codes.lane, lane, 'This phone was sent enough codes today.');
    const isFamiliar = await this.isFamiliar(lane);
    await spend(this.codes.phone, isFamiliar ? lane : digits, 'This phone was sent enough codes.');
    if (isFamiliar) return;
    const many = 'Enough codes were sent to phones like this one today.';
    await spend(this.codes.prefix, digits.slice(0, -RANGE_DIGITS), many);
    if (phone.country !== this.homeRegion) await spend(this.codes.country, phone.country ?? 'none', many);
  }

  /**
   * Counts the entry of a code, before it is looked at: a thousand at once are a thousand.
   *
   * @returns to be called when it was the right one, which does not count
   * @throws {HttpProblem} 429 `RATE_LIMITED` with `Retry-After`
   */
  async spendEntry({ address, lane }: Asker): Promise<() => Promise<void>> {
    if (await this.isFamiliar(lane)) return () => Promise.resolve();
    await spend([this.wrongCodes], address, 'Too many wrong codes came from your network.');
    return async () => void (await this.wrongCodes.reward(address));
  }

  /** The phone has signed in from there. */
  async remember({ lane }: Asker): Promise<void> {
    await this.redis.set(familiarKey(lane), '1', 'EX', FAMILIAR_SECONDS);
  }

  private async isFamiliar(lane: string): Promise<boolean> {
    return (await this.redis.exists(familiarKey(lane))) === 1;
  }
}

const familiarKey = (lane: string): string => `auth:familiar:${lane}`;

async function spend(limiters: readonly RateLimiterRedis[], key: string, detail: string): Promise<void> {
  for (const limiter of limiters) {
    try {
      await limiter.consume(key);
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      throw new HttpProblem(429, 'RATE_LIMITED', `${detail} Wait a while.`, retryAfter(refusal.msBeforeNext));
    }
  }
}
