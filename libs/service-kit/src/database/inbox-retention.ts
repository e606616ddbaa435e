import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { ServiceDatabase } from './database.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Far longer than any message is redelivered. A replay that reaches further back runs its handlers again. */
export const KEEP_INBOX_MS = 14 * DAY_MS;
const EVERY_MS = 60 * 60 * 1000;
/** Small enough that a deletion holds its locks for a moment only. */
const MAX_ROWS_PER_STATEMENT = 10_000;

/** Keeps the inbox bounded: it would otherwise hold a row for every message that was ever handled. */
export class InboxRetention implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: ServiceDatabase,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.forgetOld().catch((error: unknown) => {
        this.logger.warn(
          { err: error },
          'the inbox could not be cleared of old rows; trying again in an hour',
        );
      });
    }, EVERY_MS);
    this.timer.unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Deletes what is older than `KEEP_INBOX_MS` and returns how many rows that were. */
  async forgetOld(): Promise<number> {
    const before = new Date(this.clock.now() - KEEP_INBOX_MS);
    let forgotten = 0;
    for (;;) {
      const deleted = await this.database.$executeRawUnsafe(
        `DELETE FROM inbox WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM inbox WHERE handled_at < $1::timestamptz ORDER BY handled_at LIMIT ${MAX_ROWS_PER_STATEMENT}))`,
        before,
      );
      forgotten += deleted;
      if (deleted < MAX_ROWS_PER_STATEMENT) return forgotten;
    }
  }
}
