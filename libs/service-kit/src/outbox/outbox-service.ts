import type { OnApplicationBootstrap } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { OutboxRelay, type BrokerPort } from '#libs/messaging';
import type { ServiceDatabase } from '../database/database.js';
import { OutboxListener } from './outbox-listener.js';
import { OutboxMetrics } from './outbox-metrics.js';
import { outboxChannel, PrismaOutbox } from './prisma-outbox.js';

/** Behind a listener that hears: a notification is lost with a connection. */
const POLL_MS = 1_000;
/** Where nothing is heard. */
const DEAF_POLL_MS = 100;
/** Where nothing is written any more: what an earlier version left, which wrote to the outbox, or an older instance that still does. */
const LEFTOVER_POLL_MS = 5_000;

export type OutboxServiceOptions = {
  database: ServiceDatabase;
  url: string;
  schema: string;
  /** Whether this service writes to it; else only what is left in there is sent. */
  isWritten: boolean;
  broker: BrokerPort;
  logger: Logger;
  registry: Registry;
};

/** The outbox of one process: its store, and the relay that empties it, woken by a listener. */
export class OutboxService implements OnApplicationBootstrap {
  readonly store: PrismaOutbox;
  private readonly relay: OutboxRelay;
  private readonly listener: OutboxListener | undefined;

  constructor({ database, url, schema, isWritten, broker, logger, registry }: OutboxServiceOptions) {
    this.store = new PrismaOutbox(database, schema);
    const metrics = new OutboxMetrics(registry, database);
    this.relay = new OutboxRelay({
      ...{ store: this.store, broker, logger },
      settled: (settlement) => metrics.settled(settlement),
      pollMs: () => this.pollMs(),
    });
    if (!isWritten) return;
    const heard = (): void => this.relay.wake();
    this.listener = new OutboxListener({ url, channel: outboxChannel(schema), database, heard, logger });
  }

  onApplicationBootstrap(): void {
    this.relay.start();
    this.listener?.start();
  }

  /** Sends what is left, within a few seconds. Called when nobody writes any more, and broker and database are still there. */
  async close(): Promise<void> {
    await this.listener?.stop();
    await this.relay.stop();
  }

  private pollMs(): number {
    if (this.listener === undefined) return LEFTOVER_POLL_MS;
    return this.listener.isHearing ? POLL_MS : DEAF_POLL_MS;
  }
}
