import {
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { BrokerPort } from './broker-port.js';
import { MessageBus } from './bus.js';
import { CheckBacks } from './check-backs.js';
import { BROKER_PORT, MESSAGING_OPTIONS, type MessagingOptions } from './messaging.options.js';
import { MessagingServer } from './messaging.server.js';

export type MessagingAsyncOptions = Pick<ModuleMetadata, 'imports'> &
  Pick<FactoryProvider<MessagingOptions>, 'inject' | 'useFactory'>;

/** Provides `MessageBus` and `MessagingServer` to the whole application. Import it once. */
@Module({})
export class MessagingModule {
  /** With a broker that is at hand; provides it as `BROKER_PORT`. */
  static forRoot({ broker, ...options }: MessagingOptions & { broker: BrokerPort }): DynamicModule {
    return messaging(
      [
        { provide: BROKER_PORT, useValue: broker },
        { provide: MESSAGING_OPTIONS, useValue: options },
      ],
      [BROKER_PORT],
    );
  }

  /** With options that need injection. `BROKER_PORT` is the application's: from a global module, or from one in `imports`. */
  static forRootAsync({ imports = [], inject = [], useFactory }: MessagingAsyncOptions): DynamicModule {
    return messaging([{ provide: MESSAGING_OPTIONS, inject, useFactory }], [], imports);
  }
}

function messaging(
  providers: Provider[],
  exported: symbol[],
  imports: NonNullable<ModuleMetadata['imports']> = [],
): DynamicModule {
  return {
    module: MessagingModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [...providers, CheckBacks, MessageBus, MessagingServer],
    exports: [...exported, MESSAGING_OPTIONS, MessageBus, MessagingServer],
  };
}
