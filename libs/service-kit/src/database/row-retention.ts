import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { ServiceDatabase } from './database.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Rows of a table that nobody needs once `since` lies more than `keepDays` back; a row without that time is kept. */
export type OldRows = {
  table: string;
  since: string;
  keepDays: number;
  /** A condition in SQL, where not all rows of the table are meant. */
  where?: string;
};

/** Far longer than any message is redelivered. A replay that reaches further back runs its handlers again. */
export const OLD_INBOX_ROWS: OldRows = { table: 'inbox', since: 'handled_at', keepDays: 14 };

/** What is sent is deleted at once; these are what nobody could send, and nobody has given back since. */
export const OLD_OUTBOX_DEAD_LETTERS: OldRows = { table: 'outbox', since: 'dead_at', keepDays: 400 };

const EVERY_MS = 60 * 60 * 1000;
/** Small enough that a deletion holds its locks for a moment only. */
const MAX_ROWS_PER_STATEMENT = 10_000;

/** Keeps tables bounded that would otherwise hold a row for everything that ever happened. */
export class RowRetention implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly rows: readonly OldRows[],
    private readonly database: ServiceDatabase,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.forgetOld().catch((error: unknown) => {
        this.logger.warn({ err: error }, 'old rows could not be deleted; trying again in an hour');
      });
    }, EVERY_MS);
    this.timer.unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Deletes what is too old and returns how many rows that were. */
  async forgetOld(): Promise<number> {
    let forgotten = 0;
    for (const rows of this.rows) forgotten += await this.forget(rows);
    return forgotten;
  }

  private async forget({ table, since, keepDays, where = 'true' }: OldRows): Promise<number> {
    const before = new Date(this.clock.now() - keepDays * DAY_MS);
    let forgotten = 0;
    for (;;) {
      const deleted = await this.database.$executeRawUnsafe(
        `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM ${table} WHERE ${since} < $1::timestamptz AND ${where} ORDER BY ${since} LIMIT ${MAX_ROWS_PER_STATEMENT}))`,
        before,
      );
      forgotten += deleted;
      if (deleted < MAX_ROWS_PER_STATEMENT) return forgotten;
    }
  }
}
