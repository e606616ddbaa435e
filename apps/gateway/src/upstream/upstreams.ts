import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Pool } from 'undici';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

export const UPSTREAMS = ['order', 'stock', 'payment', 'notification', 'ops'] as const;
/** A service behind the gateway. */
export type Upstream = (typeof UPSTREAMS)[number];

/** Requests beyond this wait for a connection in the gateway, not in the service. */
const MAX_CONNECTIONS = 64;
const CONNECT_TIMEOUT_MS = 1_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** A verdict reads every order, and ops gives its database two minutes for that. */
const OPS_HEADERS_TIMEOUT_MS = 150_000;
const BODY_TIMEOUT_MS = 30_000;

/** One pool of kept-alive connections per service. */
@Injectable()
export class Upstreams implements OnApplicationShutdown {
  private readonly pools: Readonly<Record<Upstream, Pool>>;

  constructor(@Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    this.pools = {
      order: poolOf(config.ORDER_URL),
      stock: poolOf(config.STOCK_URL),
      payment: poolOf(config.PAYMENT_URL),
      notification: poolOf(config.NOTIFICATION_URL),
      ops: poolOf(config.OPS_URL, OPS_HEADERS_TIMEOUT_MS),
    };
  }

  pool(upstream: Upstream): Pool {
    return this.pools[upstream];
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(UPSTREAMS.map((upstream) => this.pools[upstream].close()));
  }
}

const poolOf = (url: string, headersTimeout = HEADERS_TIMEOUT_MS): Pool =>
  new Pool(new URL(url).origin, {
    connections: MAX_CONNECTIONS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout,
    bodyTimeout: BODY_TIMEOUT_MS,
  });
