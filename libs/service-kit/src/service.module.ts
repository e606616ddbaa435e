import { Global, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import {
  BROKER_PORT,
  INBOX_STORE,
  MessagingModule,
  type BrokerPort,
  type MessagingOptions,
  type OutboxStore,
} from '#libs/messaging';
import { AuthGuard } from './auth/auth.guard.js';
import { requireTimelyBatches } from './batching/batcher.js';
import { BrokerModule } from './broker.module.js';
import { CLOCK, systemClock, type Clock } from './clock.js';
import { jwtSecretsOf, loadConfig, required, ServiceConfig } from './config.js';
import { provesNothingWritten } from './database/database-error.js';
import { openDatabase, type DatabaseClass, type ServiceDatabase } from './database/database.js';
import { hasInbox, PrismaInbox } from './database/prisma-inbox.js';
import {
  OLD_INBOX_ROWS,
  OLD_OUTBOX_DEAD_LETTERS,
  RowRetention,
  type OldRows,
} from './database/row-retention.js';
import { Health, HealthController } from './health/health.js';
import { createLogger } from './logs/logger.js';
import { DeliveryMetrics } from './metrics/delivery-metrics.js';
import { Metrics, MetricsController } from './metrics/metrics.js';
import { OutboxService } from './outbox/outbox-service.js';
import { hasOutbox } from './outbox/prisma-outbox.js';
import { ProblemFilter } from './problem/problem.filter.js';
import { isDependencyAway } from './problem/unavailable.js';
import { writable } from './redis/redis-failures.js';
import { openRedis } from './redis/redis.js';
import { ServiceResources } from './service-resources.js';
import { LOGGER, REDIS, SERVICE_CONFIG, SERVICE_NAME } from './tokens.js';

export type ServiceOptions = {
  /** Names the service in logs, metrics and at the broker; also its Postgres schema and role. */
  name: string;
  /** The generated client of `#prisma/<service>`; it can then be injected by its class. */
  prisma?: DatabaseClass;
  /** Rows that are deleted when they are old; those of the inbox always are. */
  forget?: readonly OldRows[];
  /**
   * How `MessageBus.transactional` keeps messages until the change they are about is committed. Default: half messages at the
   * broker; `outbox` needs the two outbox models in the service's schema. Changing it between two versions loses nothing:
   * both ways are emptied by either.
   */
  transactions?: 'half-messages' | 'outbox';
  /** Provides `REDIS`. */
  redis?: boolean;
};

/** Stands for the database when the service has one, else undefined. */
const DATABASE = Symbol('DATABASE');
const OPTIONAL_REDIS = Symbol('OPTIONAL_REDIS');
/** The `OutboxService` when the schema has an outbox, else undefined. */
const OUTBOX = Symbol('OUTBOX');
/** What `MessageBus.transactional` writes to when it does not send half messages. */
const OUTBOX_STORE = Symbol('OUTBOX_STORE');

/** Everything that every service has. Import it once, in the service's own module. */
@Global()
@Module({})
export class ServiceModule {
  static forRoot(options: ServiceOptions): DynamicModule {
    const providers = [
      ...basics(options.name),
      ...database(options),
      ...outbox(options),
      ...redis(options),
      {
        provide: ServiceResources,
        inject: [LOGGER, OUTBOX, BROKER_PORT, DATABASE, OPTIONAL_REDIS],
        useFactory: (
          ...[logger, outbox, broker, db, redis]: [
            Logger,
            OutboxService | undefined,
            BrokerPort,
            ServiceDatabase | undefined,
            Redis | undefined,
          ]
        ) => new ServiceResources(logger, outbox, broker, db, redis),
      },
    ];
    const internal = new Set<unknown>([
      ...[DATABASE, OPTIONAL_REDIS, OUTBOX, ServiceResources, APP_GUARD, APP_FILTER],
    ]);
    return {
      module: ServiceModule,
      global: true,
      imports: [
        BrokerModule.forService(options.name),
        MessagingModule.forRootAsync({
          inject: [LOGGER, Metrics, OUTBOX_STORE],
          useFactory: (logger: Logger, metrics: Metrics, outbox?: OutboxStore): MessagingOptions => ({
            producer: options.name,
            logger,
            ...(outbox !== undefined && { outbox }),
            observer: new DeliveryMetrics(metrics.registry),
            provesNothingWritten,
            isUnavailable: isDependencyAway,
          }),
        }),
      ],
      controllers: [HealthController, MetricsController],
      providers,
      exports: providers
        .map((provider) => ('provide' in provider ? provider.provide : provider))
        .filter((token) => !internal.has(token)),
    };
  }
}

function basics(name: string): Exclude<Provider, new (...parameters: never[]) => unknown>[] {
  return [
    { provide: SERVICE_NAME, useValue: name },
    { provide: SERVICE_CONFIG, useFactory: () => loadConfig(ServiceConfig) },
    {
      provide: LOGGER,
      inject: [SERVICE_CONFIG],
      useFactory: (config: ServiceConfig) => createLogger({ name, level: config.LOG_LEVEL }),
    },
    { provide: CLOCK, useValue: systemClock },
    { provide: Metrics, useFactory: () => new Metrics(name) },
    {
      provide: Health,
      inject: [BROKER_PORT],
      useFactory: (broker: BrokerPort) => {
        const health = new Health();
        health.register('broker', () => broker.ready(1_500));
        health.register('batches', async () => requireTimelyBatches());
        return health;
      },
    },
    {
      provide: APP_GUARD,
      inject: [SERVICE_CONFIG],
      useFactory: (config: ServiceConfig) => new AuthGuard(jwtSecretsOf(config)),
    },
    { provide: APP_FILTER, inject: [LOGGER], useFactory: (logger: Logger) => new ProblemFilter(logger) },
  ];
}

function database({ name, prisma, forget = [] }: ServiceOptions): ReturnType<typeof basics> {
  if (prisma === undefined) {
    return [
      { provide: DATABASE, useValue: undefined },
      { provide: INBOX_STORE, useValue: undefined },
    ];
  }
  return [
    {
      provide: prisma,
      inject: [SERVICE_CONFIG, LOGGER, Health],
      useFactory: (config: ServiceConfig, logger: Logger, health: Health) => {
        const client = openDatabase(prisma, { url: required('DATABASE_URL', config), schema: name, logger });
        health.register('database', async () => void (await client.$queryRawUnsafe('SELECT 1')));
        return client;
      },
    },
    { provide: DATABASE, useExisting: prisma },
    {
      provide: RowRetention,
      inject: [prisma, CLOCK, LOGGER],
      useFactory: (client: ServiceDatabase, clock: Clock, logger: Logger) =>
        new RowRetention(
          [
            ...(hasInbox(client) ? [OLD_INBOX_ROWS] : []),
            ...(hasOutbox(client) ? [OLD_OUTBOX_DEAD_LETTERS] : []),
            ...forget,
          ],
          ...([client, clock, logger] as const),
        ),
    },
    {
      provide: INBOX_STORE,
      inject: [prisma],
      useFactory: (client: ServiceDatabase) => (hasInbox(client) ? new PrismaInbox(client) : undefined),
    },
  ];
}

function outbox({ name, prisma, transactions }: ServiceOptions): ReturnType<typeof basics> {
  const isWritten = transactions === 'outbox';
  if (prisma === undefined) {
    if (isWritten) throw new TypeError(`${name}: an outbox needs a database`);
    return [OUTBOX, OUTBOX_STORE].map((provide) => ({ provide, useValue: undefined }));
  }
  return [
    {
      provide: OUTBOX,
      inject: [prisma, SERVICE_CONFIG, BROKER_PORT, LOGGER, Metrics],
      useFactory: (
        ...[database, config, broker, logger, metrics]: [
          ServiceDatabase,
          ServiceConfig,
          BrokerPort,
          Logger,
          Metrics,
        ]
      ) => {
        if (!hasOutbox(database)) {
          if (isWritten) throw new TypeError(`${name}: the schema has no OutboxMessage model`);
          return undefined;
        }
        const { registry } = metrics;
        const url = required('DATABASE_URL', config);
        return new OutboxService({ database, url, schema: name, isWritten, broker, logger, registry });
      },
    },
    {
      provide: OUTBOX_STORE,
      inject: [OUTBOX],
      useFactory: (service?: OutboxService) => (isWritten ? service?.store : undefined),
    },
  ];
}

function redis({ name, redis: wanted }: ServiceOptions): ReturnType<typeof basics> {
  if (wanted !== true) return [{ provide: OPTIONAL_REDIS, useValue: undefined }];
  return [
    {
      provide: REDIS,
      inject: [SERVICE_CONFIG, LOGGER, Health],
      useFactory: (config: ServiceConfig, logger: Logger, health: Health) => {
        const url = required('REDIS_URL', config);
        const connection = openRedis({ url, name, logger });
        health.register('redis', writable(connection, name));
        return connection;
      },
    },
    { provide: OPTIONAL_REDIS, useExisting: REDIS },
  ];
}
