import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { LOGGER, REDIS, SERVICE_CONFIG, type ServiceConfig } from '#libs/service-kit';
import { serviceUnavailable } from '../domain/errors.js';
import { identityKeysOf, type IdentityKeys } from '../domain/phone-identity.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/** Which secret the user ids of this shop are made with: a fingerprint, written once. */
const PIN = 'auth:identity-key';

const WRONG_SECRET =
  'IDENTITY_SECRET: user ids were made with another secret so far, every buyer would become somebody else; set it to the JWT_SECRET (or IDENTITY_SECRET) with which this shop began';

/**
 * The keys behind user ids. They stay what they were when the first buyer signed in: `IDENTITY_SECRET`, or without it
 * whichever `JWT_SECRET`, current or previous, it was then. When none of those is left, nobody is signed in, instead
 * of everybody as somebody else.
 */
@Injectable()
export class Identities implements OnModuleInit {
  /** The first one is taken where none has been yet. */
  private readonly candidates: readonly [IdentityKeys, ...IdentityKeys[]];
  private isWrong = false;

  constructor(
    @Inject(REDIS) private readonly redis: Redis,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(SERVICE_CONFIG) service: ServiceConfig,
    @Inject(GATEWAY_CONFIG) { IDENTITY_SECRET }: GatewayConfig,
  ) {
    this.candidates =
      IDENTITY_SECRET === undefined
        ? [identityKeysOf(service.JWT_SECRET), ...service.JWT_SECRET_PREVIOUS.map(identityKeysOf)]
        : [identityKeysOf(IDENTITY_SECRET)];
  }

  /** So that the operator reads it at the start, not when the first buyer signs in. */
  onModuleInit(): void {
    // It has been logged when it is wrong; when Redis cannot say yet, the next sign-in asks again.
    this.keys().catch(() => undefined);
  }

  /** @throws {DomainError} `SERVICE_UNAVAILABLE` when the secret is not the one that this shop began with. */
  async keys(): Promise<IdentityKeys> {
    const { fingerprint: own } = this.candidates[0];
    const pinned = (await this.redis.set(PIN, own, 'NX', 'GET')) ?? own;
    const keys = this.candidates.find(({ fingerprint }) => fingerprint === pinned);
    if (keys !== undefined) return keys;
    if (!this.isWrong) this.logger.error(WRONG_SECRET);
    this.isWrong = true;
    throw serviceUnavailable('Nobody can be signed in right now.');
  }
}
