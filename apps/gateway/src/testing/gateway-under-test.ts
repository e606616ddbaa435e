import { Test } from '@nestjs/testing';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { BROKER_PORT } from '#libs/messaging';
import { CLOCK, serve, ServiceAdapter, signToken, type RunningService } from '#libs/service-kit';
import { newTicketTypeId, RedisStock, type StockCounters } from '#libs/redis-stock';
import { startRedis, type TestRedis } from '../../../../libs/service-kit/src/testing/index.js';
import { Docs } from '../docs/docs.js';
import { GatewayModule } from '../gateway.module.js';
import { ScriptedBroker } from './scripted-broker.js';
import { StubService } from './stub-service.js';

const SECRET = 'a secret of at least thirty-two characters';
/** Nobody listens here: port 9 is `discard`, and not bound on any machine of ours. */
const NOBODY = 'http://127.0.0.1:9';

export type Answer = { status: number; headers: Headers; body: Record<string, unknown> };

/** A clock that follows the real one until it is set off by `aheadMs`. */
export class TestClock {
  aheadMs = 0;
  now(): number {
    return Date.now() + this.aheadMs;
  }
}

/** The whole gateway over HTTP, with a real Redis, a scripted broker and stubs for the services behind it. */
export class GatewayUnderTest {
  private constructor(
    readonly service: RunningService,
    readonly broker: ScriptedBroker,
    readonly upstream: StubService,
    readonly clock: TestClock,
    readonly redisServer: TestRedis,
    readonly redis: Redis,
    readonly stock: RedisStock,
  ) {}

  /** `settings` are environment variables on top of those that every test needs. */
  static async start(settings: Record<string, string> = {}): Promise<GatewayUnderTest> {
    const [redisServer, upstream] = await Promise.all([startRedis(), StubService.start()]);
    const broker = new ScriptedBroker();
    const clock = new TestClock();
    Object.assign(process.env, {
      NODE_ENV: 'test',
      PORT: '0',
      LOG_LEVEL: 'silent',
      JWT_SECRET: SECRET,
      REDIS_URL: redisServer.url,
      ORDER_URL: upstream.url,
      STOCK_URL: upstream.url,
      PAYMENT_URL: upstream.url,
      NOTIFICATION_URL: upstream.url,
      OPS_URL: NOBODY,
      SUBMIT_TIMEOUT_MS: '300',
      ...settings,
    });
    const testing = await Test.createTestingModule({ imports: [GatewayModule] })
      .overrideProvider(BROKER_PORT)
      .useValue(broker.port)
      .overrideProvider(CLOCK)
      .useValue(clock)
      // Its plugin requires an ES module, which Node can do and Jest's loader cannot. The e2e suite asks for /docs.
      .overrideProvider(Docs)
      .useValue({})
      .compile();
    const app = testing.createNestApplication<NestFastifyApplication>(new ServiceAdapter());
    const service = await serve(app, 'gateway');
    await service.consuming;
    for (const name of Object.keys(settings)) delete process.env[name];
    const redis = new Redis(redisServer.url);
    const stock = new RedisStock(redis);
    // As the stock service does once every counter is verified.
    await stock.setEpoch(await stock.runId(), await stock.beginVerifying());
    return new GatewayUnderTest(service, broker, upstream, clock, redisServer, redis, stock);
  }

  async stop(): Promise<void> {
    await this.service.close();
    this.redis.disconnect();
    await Promise.all([this.upstream.stop(), this.redisServer.stop()]);
  }

  /** A ticket type on sale. */
  async ticketType(
    quantity: number,
    options: { limit?: number; opensAtMs?: number; closesAtMs?: number } = {},
  ): Promise<string> {
    const ticketTypeId = newTicketTypeId();
    await this.stock.rebuild({
      ticketTypeId,
      initial: quantity,
      unitPriceMinor: 4_950,
      currency: 'EUR',
      perUserLimit: options.limit ?? 100,
      saleOpensAtMs: options.opensAtMs ?? 0,
      saleClosesAtMs: options.closesAtMs ?? Date.UTC(2199, 0),
      orders: [],
    });
    return ticketTypeId;
  }

  async counters(ticketTypeId: string): Promise<StockCounters> {
    const counters = await this.stock.read(ticketTypeId);
    if (counters === undefined) throw new Error(`${ticketTypeId} has no counters`);
    return counters;
  }

  async headersOf(user: string, roles: string[] = []): Promise<Record<string, string>> {
    const token = signToken({ sub: user, roles, expiresInSeconds: 600 }, SECRET);
    return { authorization: `Bearer ${token}` };
  }

  async call(
    method: string,
    path: string,
    options: { as?: string; headers?: Record<string, string>; json?: unknown; raw?: string } = {},
  ): Promise<Answer> {
    const body = options.raw ?? (options.json === undefined ? undefined : JSON.stringify(options.json));
    const response = await fetch(`${this.service.url}${path}`, {
      method,
      headers: {
        ...(options.as === undefined ? {} : await this.headersOf(options.as)),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const parsed = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text };
    return { status: response.status, headers: response.headers, body: parsed };
  }

  placeOrder(
    buyer: string,
    order: { ticketTypeId: string; quantity: number },
    key: string = randomUUID(),
  ): Promise<Answer> {
    return this.call('POST', '/api/orders', { as: buyer, json: order, headers: { 'idempotency-key': key } });
  }
}
