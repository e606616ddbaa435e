import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Logger } from 'pino';
import type { ServiceDatabase } from '../database/database.js';

const CONNECT_TIMEOUT_MS = 5_000;
/** A notification takes a millisecond; one that has not come by then will not. */
const PROBE_TIMEOUT_MS = 2_000;
const RECONNECT_MS = 5_000;
/** A pooler that keeps sessions from us is not replaced from one moment to the next. */
const ASK_POOLER_AGAIN_MS = 60_000;
const KEEP_ALIVE_AFTER_MS = 10_000;

export type OutboxListenerOptions = {
  url: string;
  channel: string;
  /** Whose `pg_notify` has to reach the listener: the way of those who write. */
  database: Pick<ServiceDatabase, '$queryRawUnsafe'>;
  /** Somebody has written. */
  heard: () => void;
  logger: Logger;
  probeTimeoutMs?: number;
  reconnectMs?: number;
  askPoolerAgainMs?: number;
};

/**
 * Wakes a relay by LISTEN, on a connection of its own. Nothing depends on it but time: whoever uses it polls behind it.
 *
 * LISTEN belongs to a session. PgBouncer in transaction mode takes it, hands the session to somebody else, and nothing is ever
 * heard; no error tells. So each new connection is tried out with a notification that is sent on the way that the others take.
 */
export class OutboxListener {
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private hears = false;
  private isStopped = true;
  private isDeafnessTold = false;

  private readonly reconnectMs: number;

  constructor(private readonly options: OutboxListenerOptions) {
    this.reconnectMs = options.reconnectMs ?? RECONNECT_MS;
  }

  /** Whether notifications come through, as far as is known. */
  get isHearing(): boolean {
    return this.hears;
  }

  start(): void {
    this.isStopped = false;
    void this.listen();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.disconnect();
  }

  private async listen(): Promise<void> {
    const client = this.connection();
    this.client = client;
    let againMs = this.reconnectMs;
    try {
      await client.connect();
      await client.query(`LISTEN ${client.escapeIdentifier(this.options.channel)}`);
      if (await this.isReached(client)) {
        this.hears = true;
        // Whatever was written while nobody listened.
        this.options.heard();
        return;
      }
      this.tellOfDeafness();
      againMs = this.options.askPoolerAgainMs ?? ASK_POOLER_AGAIN_MS;
    } catch (error) {
      this.options.logger.debug({ err: error }, 'the outbox cannot listen now');
    }
    this.retryAfter(client, againMs);
  }

  private connection(): pg.Client {
    const client = new pg.Client({
      connectionString: this.options.url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      application_name: 'stampede-outbox',
    });
    client.on('notification', ({ payload }) => {
      if (payload === '') this.options.heard();
    });
    const lost = (): void => {
      if (this.client === client && this.hears) this.retryAfter(client, this.reconnectMs);
    };
    client.on('error', lost);
    client.on('end', lost);
    return client;
  }

  private async isReached(client: pg.Client): Promise<boolean> {
    const token = randomUUID();
    const { channel, database, probeTimeoutMs = PROBE_TIMEOUT_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const reached = new Promise<boolean>((resolve, reject) => {
      timer = setTimeout(() => resolve(false), probeTimeoutMs);
      client.on('notification', ({ payload }) => payload === token && resolve(true));
      // Not deaf, but gone.
      client.once('end', () => reject(new Error('the connection was lost')));
    });
    try {
      const told = database.$queryRawUnsafe('SELECT pg_notify($1, $2)::text', channel, token);
      const [isReached] = await Promise.all([reached, told]);
      return isReached;
    } finally {
      clearTimeout(timer);
    }
  }

  private tellOfDeafness(): void {
    if (this.isDeafnessTold) return;
    this.isDeafnessTold = true;
    this.options.logger.warn(
      {},
      'DATABASE_URL: notifications do not come through (PgBouncer in transaction mode?); the outbox is polled instead',
    );
  }

  private retryAfter(client: pg.Client, ms: number): void {
    if (this.client !== client) return;
    void this.disconnect();
    if (this.isStopped) return;
    this.timer = setTimeout(() => void this.listen(), ms);
    this.timer.unref();
  }

  private async disconnect(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    this.hears = false;
    // One that was never connected, or is gone, has nothing to say goodbye to.
    await client?.end().catch(() => undefined);
  }
}
