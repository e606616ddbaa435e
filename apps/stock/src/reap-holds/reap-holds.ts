import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { Counter } from 'prom-client';
import { CLOCK, LOGGER, Metrics, type Clock } from '#libs/service-kit';
import { StockLedger } from '#libs/stock-ledger';
import { PrismaClient } from '#prisma/stock';

/** Holds released in one call: bounds how long the script keeps Redis from selling. */
const MAX_HOLDS = 500;

/**
 * Releases holds that nobody claimed in time: the gateway died after it had reserved and before it had
 * sent the order, or its broker did not answer.
 */
@Injectable()
export class ReapHolds {
  private readonly reaped: Counter;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: StockLedger,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.reaped = new Counter({
      name: 'stock_holds_reaped_total',
      help: 'Holds that were released because no order claimed them in time.',
      registers: [metrics.registry],
    });
  }

  async execute(): Promise<void> {
    const ticketTypes = await this.database.ticketType.findMany({ select: { id: true } });
    await Promise.all(ticketTypes.map(({ id }) => this.reap(id)));
  }

  private async reap(ticketTypeId: string): Promise<void> {
    const nowMs = this.clock.now();
    let orderNos: string[];
    do {
      orderNos = await this.stock.reap(ticketTypeId, nowMs, MAX_HOLDS);
      this.reaped.inc(orderNos.length);
      if (orderNos.length > 0) this.logger.info({ ticketTypeId, orderNos }, 'released unclaimed holds');
    } while (orderNos.length === MAX_HOLDS);
  }
}
