import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { LOGGER } from '#libs/service-kit';
import { RedisStock, type RebuildResult } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { RebuildStock } from './rebuild-stock.js';
import { RecordSync } from './record-sync.js';

/**
 * Opens the sale for this run of Redis. Counters carry the run id of the Redis they were verified for,
 * and a reservation is refused as not ready while that is another one, so nothing is sold from what a
 * restart brought back until it has been set beside the ledger here. Counters that are missing
 * altogether are found the same way.
 */
@Injectable()
export class VerifyStock {
  private verified = false;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    private readonly rebuildStock: RebuildStock,
    private readonly recordSync: RecordSync,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** False from the first sign of a Redis that is not verified until it is. */
  get isVerified(): boolean {
    return this.verified;
  }

  async execute(): Promise<void> {
    const runId = await this.stock.runId();
    const epoch = await this.stock.epoch();
    const attempt = epoch === runId ? undefined : await this.stock.beginVerifying();
    const ticketTypes = await this.database.ticketType.findMany({ select: { id: true } });
    const unverified = await this.stock.unverified(ticketTypes.map(({ id }) => id));
    this.verified &&= epoch === runId && unverified.length === 0;
    for (const ticketTypeId of unverified) await this.verify(ticketTypeId);
    // Emptied under our hands: the next look finds what is gone.
    if (attempt !== undefined && !(await this.stock.setEpoch(runId, attempt))) return;
    this.verified = true;
  }

  private async verify(ticketTypeId: string): Promise<void> {
    const result = await this.rebuildStock.execute(ticketTypeId);
    this.logger.info({ ticketTypeId, ...result }, 'verified the counters against the ledger');
    if (mayHaveLost(result)) await this.recordSync.execute(ticketTypeId, 'rebuilt', result);
  }
}

/**
 * Whether reservations may be gone. Counters of an earlier run came out of the append-only file, which
 * lacks the last second of writes, or two, when its disk was busy: counters and holds alike, so that
 * nothing need differ. Counters of a new ticket type are not lost, they were not there yet.
 */
function mayHaveLost({ before, after }: RebuildResult): boolean {
  return before !== undefined || after.sold > 0;
}
