import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { Counter, Gauge } from 'prom-client';
import { LOGGER, Metrics } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { OrderQueue } from '../order-queue/order-queue.js';

/**
 * Finds holds that the order service claimed and never wrote an order for, such as those of a message that died
 * and was discarded. They keep their tickets from being sold for good: nobody else may release a claimed hold.
 *
 * A claimed hold is on its way for as long as anything is: its message, its order's transaction, its DEDUCT. So it
 * is nobody's when it was claimed before all of these were seen to have ended, and is so still; it is released when
 * it was found like that twice in a row. Its order, should there be one against all of this, keeps the tombstone,
 * and the reconciliation reports the difference.
 */
@Injectable()
export class ReleaseOrphans {
  private suspects = new Map<string, ReadonlySet<string>>();
  private readonly found: Gauge<'ticket_type'>;
  private readonly released: Counter;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    private readonly queue: OrderQueue,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.found = new Gauge({
      name: 'stock_orphaned_holds',
      help: 'Claimed holds without an order, as last seen.',
      labelNames: ['ticket_type'] as const,
      registers,
    });
    this.released = new Counter({
      name: 'stock_orphaned_holds_released_total',
      help: 'Claimed holds that were released because no order was ever written for them.',
      registers,
    });
  }

  async execute(): Promise<void> {
    const ticketTypes = await this.database.ticketType.findMany({ select: { id: true, quantity: true } });
    const claimed = new Map<string, readonly string[]>();
    for (const { id } of ticketTypes) {
      const counters = await this.stock.read(id);
      // What has no tickets under way has no claimed hold: the healthy case, and the cheap one.
      if (counters !== undefined && counters.held > 0) claimed.set(id, await this.stock.claimed(id));
    }
    const isSuspected = [...claimed.values()].some((orderNos) => orderNos.length > 0);
    if (!isSuspected || !(await this.queue.isQuiet())) {
      this.suspects = new Map();
      for (const { id } of ticketTypes) if (!claimed.get(id)?.length) this.found.remove({ ticket_type: id });
      return;
    }
    for (const [id, orderNos] of claimed) await this.settle(id, orderNos);
  }

  private async settle(ticketTypeId: string, claimed: readonly string[]): Promise<void> {
    const still = new Set(await this.stock.claimed(ticketTypeId));
    const orphans = claimed.filter((orderNo) => still.has(orderNo));
    const known = this.suspects.get(ticketTypeId);
    this.suspects.set(ticketTypeId, new Set(orphans));
    this.found.set({ ticket_type: ticketTypeId }, orphans.length);
    const orderNos = orphans.filter((orderNo) => known?.has(orderNo));
    if (orderNos.length === 0) return;
    this.logger.warn({ ticketTypeId, orderNos }, 'released claimed holds that no order was written for');
    const answers = await this.stock.release(ticketTypeId, orderNos, 'rollback');
    this.released.inc(answers?.filter((answer) => answer === 'released').length ?? 0);
    this.suspects.delete(ticketTypeId);
    this.found.set({ ticket_type: ticketTypeId }, orphans.length - orderNos.length);
  }
}
