import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { Counter } from 'prom-client';
import { LOGGER, Metrics } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { OrderQueue, type Progress } from '../order-queue/order-queue.js';

/** Holds released in one call: bounds how long the script keeps Redis from selling. */
const MAX_HOLDS = 500;

/**
 * Releases holds that nobody claimed in time and that no message will come for: the gateway died after it had
 * reserved and before it had sent the order, or its broker did not answer.
 *
 * A hold whose message waits in the queue belongs to a buyer who was told 202. So the reaper's time stands still
 * at the oldest message that the order service has not finished: a message is stored before its hold expires, and
 * whatever expired before that one was stored has been taken, or was never sent.
 *
 * ```
 * now 12:00, holds last 10 min; order service away since 11:00, oldest message stored at 11:00:03
 * expired 10:58  released: its message, if there had been one, was finished before 11:00:03
 * expired 11:10  kept: reserved at 11:00, its message may be in the queue
 * ```
 */
@Injectable()
export class ReapHolds {
  private readonly reaped: Counter;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    private readonly queue: OrderQueue,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.reaped = new Counter({
      name: 'stock_holds_reaped_total',
      help: 'Holds that were released because no order claimed them in time.',
      registers: [metrics.registry],
    });
  }

  /** @throws when the broker does not answer and a hold has expired: nothing is released then. */
  async execute(): Promise<void> {
    const nowMs = await this.stock.nowMs();
    const ticketTypes = await this.database.ticketType.findMany({ select: { id: true } });
    const waiting: string[] = [];
    await Promise.all(
      ticketTypes.map(async ({ id }) => {
        // Nothing to release as yet: this is for the tombstones, which ask nothing of the broker.
        await this.stock.reap(id, [], 0);
        if ((await this.stock.expired(id, nowMs, 1)).length > 0) waiting.push(id);
      }),
    );
    if (waiting.length === 0) return;
    const progress = await this.queue.progress(nowMs);
    if (progress === undefined) return;
    await Promise.all(waiting.map((id) => this.reap(id, progress)));
  }

  private async reap(ticketTypeId: string, progress: Progress): Promise<void> {
    let kept = 0;
    for (;;) {
      const expired = await this.stock.expired(ticketTypeId, progress.doneBeforeMs, MAX_HOLDS, kept);
      const unsent = expired.filter((orderNo) => !progress.waiting.has(orderNo));
      const orderNos = await this.stock.reap(ticketTypeId, unsent, progress.doneBeforeMs);
      this.reaped.inc(orderNos.length);
      if (orderNos.length > 0) this.logger.info({ ticketTypeId, orderNos }, 'released unclaimed holds');
      // Those that were claimed meanwhile have left the list too; skipping a few of the next makes them wait for the next run.
      kept += expired.length - orderNos.length;
      if (expired.length < MAX_HOLDS) return;
    }
  }
}
