import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Pool, type Dispatcher } from 'undici';
import { Health } from '#libs/service-kit';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { BoundedCalls, type Patience } from './bounded-calls.js';

export const UPSTREAMS = ['order', 'stock', 'payment', 'notification', 'ops'] as const;
/** A service behind the gateway. */
export type Upstream = (typeof UPSTREAMS)[number];

/** Requests beyond this wait for a connection in the gateway, not in the service. */
const MAX_CONNECTIONS = 64;
/**
 * Requests beyond this are refused at once. As many as may be in work for orders (`MAX_IN_FLIGHT_ORDERS`): at the 2,000/s
 * that a service answers they wait two seconds, which is less than they may.
 */
const MAX_WAITING = 4_000;
const CONNECT_TIMEOUT_MS = 1_000;
const FIRST_ANSWER_TIMEOUT_MS = 1_500;

type Line = { pool: Pool; calls: BoundedCalls };

/** One pool of kept-alive connections per service, with a bounded queue in front of it. */
@Injectable()
export class Upstreams implements OnApplicationShutdown {
  /** How long a request waits for the services behind this one, in all. */
  readonly timeoutMs: number;
  private readonly lines: Readonly<Record<Upstream, Line>>;
  /** Services that have not been ready since this process began. */
  private readonly unheard = new Set<Upstream>(UPSTREAMS);

  constructor(@Inject(GATEWAY_CONFIG) config: GatewayConfig, health: Health) {
    this.lines = {
      order: lineTo(config.ORDER_URL),
      stock: lineTo(config.STOCK_URL),
      payment: lineTo(config.PAYMENT_URL),
      notification: lineTo(config.NOTIFICATION_URL),
      ops: lineTo(config.OPS_URL),
    };
    this.timeoutMs = config.UPSTREAM_TIMEOUT_MS;
    health.register('services', () => this.allHeard());
  }

  /**
   * Asks a service. The answer's body must be read to its end or destroyed; until then it takes one of the places.
   *
   * @throws {CallFailed} when it was not answered in time, or the service cannot be reached
   */
  request(
    upstream: Upstream,
    options: Omit<Dispatcher.RequestOptions, 'signal'>,
    patience: Patience,
  ): Promise<Dispatcher.ResponseData> {
    const { pool, calls } = this.lines[upstream];
    return calls.run((signal) => pool.request({ ...options, signal }), patience);
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(UPSTREAMS.map((upstream) => this.lines[upstream].pool.close()));
  }

  /**
   * Rejects until every service has been ready once. One that goes away later does not make the gateway unready: orders
   * are taken without it, and another gateway would not reach it either.
   */
  private async allHeard(): Promise<void> {
    await Promise.all([...this.unheard].map((upstream) => this.listenFor(upstream)));
    if (this.unheard.size > 0) throw new Error(`not heard of yet: ${[...this.unheard].join(', ')}`);
  }

  private async listenFor(upstream: Upstream): Promise<void> {
    try {
      const { statusCode, body } = await this.lines[upstream].pool.request({
        method: 'GET',
        path: '/health/ready',
        signal: AbortSignal.timeout(FIRST_ANSWER_TIMEOUT_MS),
      });
      await body.dump();
      if (statusCode === 200) this.unheard.delete(upstream);
    } catch {
      // Not up yet: the check names it and is asked again.
    }
  }
}

const lineTo = (url: string): Line => ({
  pool: new Pool(new URL(url).origin, {
    connections: MAX_CONNECTIONS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    // Every call has a deadline of its own.
    headersTimeout: 0,
    bodyTimeout: 0,
  }),
  calls: new BoundedCalls({ maxRunning: MAX_CONNECTIONS, maxWaiting: MAX_WAITING }),
});
