import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { StockSynced } from '#libs/contracts';
import { MessageBus } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import type { RebuildResult } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';

/** Leaves a trace of every time that Redis was set right: a SYNC row, and a `StockSynced` message. */
@Injectable()
export class RecordSync {
  constructor(
    private readonly database: PrismaClient,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The row's quantity is what Redis had sold too few (or, negative, too many). It moves no tickets of the ledger. */
  async execute(
    ticketTypeId: string,
    cause: 'created' | 'rebuilt' | 'repaired',
    { before, after }: RebuildResult,
  ): Promise<void> {
    const at = new Date(this.clock.now());
    if (cause !== 'created') {
      await this.database.ledgerEntry.create({
        data: {
          // A SYNC is of no order; the unique key wants a name of its own for each.
          orderNo: `sync-${randomUUID()}`,
          ticketTypeId,
          buyerId: '',
          movement: 'SYNC',
          quantity: after.sold - (before?.sold ?? 0),
          at,
        },
      });
    }
    const { free, sold } = after;
    await this.bus.send(StockSynced, { ticketTypeId, cause, free, sold, at: at.toISOString() });
  }
}
