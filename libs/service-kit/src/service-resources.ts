import type { OnApplicationShutdown } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { BrokerPort } from '#libs/messaging';
import type { ServiceDatabase } from './database/database.js';
import type { OutboxService } from './outbox/outbox-service.js';

/**
 * Closes what the service holds open, last of all: Nest runs this hook after the HTTP server has
 * answered its last request and the consumers are gone.
 */
export class ServiceResources implements OnApplicationShutdown {
  constructor(
    private readonly logger: Logger,
    private readonly outbox: OutboxService | undefined,
    private readonly broker: BrokerPort,
    private readonly database: ServiceDatabase | undefined,
    private readonly redis: Redis | undefined,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await this.closing('outbox', async () => this.outbox?.close());
    await this.closing('broker', () => this.broker.close());
    await this.closing('database', async () => this.database?.$disconnect());
    await this.closing('redis', async () => this.redis?.disconnect());
  }

  /** One that fails to close must not keep the others open. */
  private async closing(what: string, close: () => Promise<unknown>): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.logger.warn({ err: error }, `the ${what} did not close cleanly`);
    }
  }
}
