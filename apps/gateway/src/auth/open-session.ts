import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { UserRegistered, type SessionResponse } from '#libs/contracts';
import { MessageBus } from '#libs/messaging';
import {
  CLOCK,
  HttpProblem,
  LOGGER,
  REDIS,
  SERVICE_CONFIG,
  signToken,
  type Clock,
  type ServiceConfig,
} from '#libs/service-kit';
import { BrokerGate } from '../broker-gate/broker-gate.js';
import { digitsOf, type Phone } from '../domain/phone.js';
import { codeHashOf, laneOf, userIdOf, type IdentityKeys } from '../domain/phone-identity.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { CodeStore } from './code-store.js';
import { Identities } from './identities.js';
import { SignInLimits, type Asker } from './sign-in-limits.js';

export type SignIn = {
  phone: Phone;
  code: string;
  /** What counts as one address. */
  address: string;
  /** Whether nobody waits for the answer any more. */
  hasLeft: () => boolean;
};

/**
 * Trades a sign-in code for a token. The code is used up last, when nothing else can fail: a sign-in that was refused for
 * any other reason, or whose buyer has left, leaves it good.
 */
@Injectable()
export class OpenSession {
  constructor(
    private readonly identities: Identities,
    private readonly limits: SignInLimits,
    private readonly codes: CodeStore,
    private readonly bus: MessageBus,
    private readonly gate: BrokerGate,
    @Inject(REDIS) private readonly redis: Redis,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(SERVICE_CONFIG) private readonly serviceConfig: ServiceConfig,
  ) {}

  /**
   * @throws {HttpProblem} 401 `CODE_INVALID`, the same whether the code is wrong, used, expired or was never asked for;
   *   429 `RATE_LIMITED` after many wrong ones from that address.
   * @throws {DomainError} `SERVICE_UNAVAILABLE`; the code stays good
   * @throws {MessagingError} transient, when the broker does not take a first sign-in in time; the code stays good
   */
  async execute({ phone, code, address, hasLeft }: SignIn): Promise<SessionResponse> {
    const keys = await this.identities.keys();
    const asker = { phone, address, lane: laneOf(phone.e164, address, keys) };
    const codeId = await this.check(asker, codeHashOf(phone.e164, code, keys));
    const userId = await this.userOf(phone, keys);
    await this.register(userId, phone.e164);
    await this.limits.remember(asker);
    const token = signToken(
      { sub: userId, roles: [], expiresInSeconds: this.config.SESSION_TTL_SECONDS },
      this.serviceConfig.JWT_SECRET,
    );
    if (!hasLeft()) await this.useUp(phone.e164, codeId);
    return { token, userId };
  }

  private async check(asker: Asker, hash: string): Promise<string> {
    const wasRight = await this.limits.spendEntry(asker);
    const nowMs = this.clock.now();
    const codeId = await this.codes.check({ phone: asker.phone.e164, hash, asker: asker.lane, nowMs });
    if (codeId === undefined) throw codeInvalid();
    await wasRight();
    return codeId;
  }

  /**
   * When Redis does not answer, it is unclear whether the code was used up. Then the buyer gets the session all the same:
   * another one of the same phone within the code's life harms nobody.
   */
  private async useUp(phone: string, codeId: string): Promise<void> {
    let wasGood: boolean;
    try {
      wasGood = await this.codes.use(phone, codeId);
    } catch (error) {
      this.logger.warn({ err: error }, 'a sign-in code may not have been used up; it ends by itself');
      return;
    }
    // Another request with the same code was faster.
    if (!wasGood) throw codeInvalid();
  }

  /** The phone's own id, unless its owner is known by one that was made from another spelling of it. */
  private async userOf({ e164, spellings }: Phone, keys: IdentityKeys): Promise<string> {
    const ids = spellings.map((digits) => userIdOf(digits, keys));
    const registered = await Promise.all(ids.map((id) => this.redis.exists(userKey(id))));
    return ids.find((_id, n) => registered[n] === 1) ?? userIdOf(digitsOf(e164), keys);
  }

  /**
   * Sent before it is remembered: a crash in between sends it again under the same id, the other way
   * round it would be lost.
   */
  private async register(userId: string, phone: string): Promise<void> {
    const key = userKey(userId);
    if ((await this.redis.exists(key)) === 1) return;
    const registeredAt = new Date(this.clock.now()).toISOString();
    const user = { userId, phone, registeredAt };
    await this.gate.pass(() =>
      this.gate.send(() => this.bus.send(UserRegistered, user, { id: `user-registered:${userId}` })),
    );
    await this.redis.set(key, registeredAt, 'NX');
  }
}

const userKey = (userId: string): string => `auth:user:${userId}`;

const codeInvalid = (): HttpProblem =>
  new HttpProblem(401, 'CODE_INVALID', 'The code is wrong or no longer valid.');
