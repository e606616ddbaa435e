import { Global, Module, type DynamicModule } from '@nestjs/common';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { connectBroker } from '#libs/broker';
import { BROKER_PORT, type BrokerPort } from '#libs/messaging';
import { ConfigError, type ServiceConfig } from './config.js';
import { LOGGER, SERVICE_CONFIG } from './tokens.js';

/** The one place that names a broker implementation: everything else knows the port only. */
@Global()
@Module({})
export class BrokerModule {
  static forService(name: string): DynamicModule {
    return {
      module: BrokerModule,
      providers: [
        {
          provide: BROKER_PORT,
          inject: [SERVICE_CONFIG, LOGGER],
          useFactory: (config: ServiceConfig, logger: Logger) => openBroker(name, config, logger),
        },
      ],
      exports: [BROKER_PORT],
    };
  }
}

function openBroker(name: string, config: ServiceConfig, logger: Logger): BrokerPort {
  if (config.BROKER === 'kafka') throw new ConfigError('BROKER=kafka is not available yet');
  return connectBroker({
    url: config.BROKER_URL,
    token: config.BROKER_TOKEN ?? '',
    log: logger,
    clientName: `${name}@${hostname()}:${process.pid}`,
  });
}
