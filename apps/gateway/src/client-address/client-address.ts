import { Inject, Injectable } from '@nestjs/common';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { LOGGER } from '#libs/service-kit';
import { addressGroupOf, withoutPort } from '../domain/address-group.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/**
 * From where a request comes, as far as that is certain: the address of its connection; where that is one of
 * `TRUSTED_PROXIES`, what it says in `X-Forwarded-For`, and so on from right to left to the first that is not trusted.
 */
@Injectable()
export class ClientAddress {
  private readonly isTrusted: (address: string, hop: number) => boolean;
  private hasWarned = false;

  constructor(
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    const isTrusted = proxyAddr.compile(config.TRUSTED_PROXIES);
    this.isTrusted = (address, hop) => isTrusted(withoutPort(address), hop);
  }

  /** What counts as one address: see `addressGroupOf`. */
  of({ raw }: FastifyRequest): string {
    const peer = raw.socket.remoteAddress ?? '';
    if (!this.hasWarned && raw.headers['x-forwarded-for'] !== undefined && !this.isTrusted(peer, 0)) {
      this.hasWarned = true;
      this.logger.warn(
        { peer },
        'X-Forwarded-For comes from an address that TRUSTED_PROXIES does not name and is ignored: if that is a proxy of yours, all buyers behind it share the limits of one address',
      );
    }
    return addressGroupOf(proxyAddr(raw, this.isTrusted));
  }
}
