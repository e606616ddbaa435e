import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { BrokerServer, EmbeddedBroker } from '#libs/broker';
import { serve, ServiceAdapter, type RunningService } from '#libs/service-kit';
import { freePort, startPostgres, startRedis } from '#libs/service-kit/testing';
import { Docs } from '../../apps/gateway/src/docs/docs.js';
import { GatewayModule } from '../../apps/gateway/src/gateway.module.js';
import { NotificationModule } from '../../apps/notification/src/notification.module.js';
import { OpsModule } from '../../apps/ops/src/ops.module.js';
import { OrderModule } from '../../apps/order/src/order.module.js';
import { PaymentModule } from '../../apps/payment/src/payment.module.js';
import { StockModule } from '../../apps/stock/src/stock.module.js';
import type { Service } from './matrix.js';

/** Those behind the gateway come first: it wants to have heard of each. */
const MODULES: readonly (readonly [Service, Type])[] = [
  ['order', OrderModule],
  ['stock', StockModule],
  ['payment', PaymentModule],
  ['notification', NotificationModule],
  ['ops', OpsModule],
  ['gateway', GatewayModule],
];

/** Every service in this one process, each on its own port, over real stores and a real broker. */
export class WholeShop {
  private constructor(
    readonly urls: ReadonlyMap<Service, string>,
    /** `METHODS url` of every route that was registered, without HEAD, which comes with GET. */
    readonly routes: ReadonlyMap<Service, ReadonlySet<string>>,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(secret: string): Promise<WholeShop> {
    const dir = await mkdtemp(join(tmpdir(), 'stampede-access-'));
    const [postgres, redis, broker] = await Promise.all([
      startPostgres(),
      startRedis(),
      EmbeddedBroker.open({ dir }),
    ]);
    const server = await BrokerServer.listen(broker, { port: 0, token: 'token' });
    const running: RunningService[] = [];
    const urls = new Map<Service, string>();
    const routes = new Map<Service, Set<string>>();
    const stop = async (): Promise<void> => {
      for (const service of running.reverse()) await service.close();
      await server.close();
      await broker.close();
      await Promise.all([postgres.stop(), redis.stop()]);
      await rm(dir, { recursive: true, force: true });
    };
    try {
      for (const [name, module] of MODULES) {
        const port = await freePort();
        urls.set(name, `http://127.0.0.1:${port}`);
        Object.assign(process.env, {
          NODE_ENV: 'test',
          LOG_LEVEL: 'silent',
          PORT: String(port),
          JWT_SECRET: secret,
          REDIS_URL: redis.url,
          BROKER_URL: `tcp://127.0.0.1:${server.address.port}`,
          BROKER_TOKEN: 'token',
          PAYMENT_WEBHOOK_SECRET: 'of the webhooks of a whole shop',
          MAILBOX_SMTP_PORT: '0',
          ...(name !== 'gateway' && { DATABASE_URL: postgres.url(name) }),
          ...Object.fromEntries([...urls].map(([each, url]) => [`${each.toUpperCase()}_URL`, url])),
        });
        const found = new Set<string>();
        routes.set(name, found);
        running.push(await start(name, module, found));
      }
    } catch (error) {
      await stop();
      throw error;
    }
    return new WholeShop(urls, routes, stop);
  }
}

async function start(name: Service, module: Type, routes: Set<string>): Promise<RunningService> {
  const adapter = new ServiceAdapter();
  adapter.getInstance().addHook('onRoute', ({ url, method }) => {
    const methods = [method].flat().filter((each) => each !== 'HEAD');
    if (methods.length > 0) routes.add(`${methods.join('|')} ${url}`);
  });
  const testing = await Test.createTestingModule({ imports: [module] })
    // Static pages without a guard, whose plugin Jest cannot load. The e2e suite asks for /docs.
    .overrideProvider(Docs)
    .useValue({})
    .compile();
  const service = await serve(testing.createNestApplication<NestFastifyApplication>(adapter), name);
  await service.consuming;
  return service;
}
