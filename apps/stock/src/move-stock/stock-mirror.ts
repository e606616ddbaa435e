import { Injectable } from '@nestjs/common';
import { RedisStock } from '#libs/redis-stock';
import { standingOf, type Standing } from '../domain/movements.js';
import type { RecordedEvent } from './stock-event.js';

/**
 * Brings Redis to where the ledger stands. It says where each order stands, not what has just changed,
 * so it may be repeated after a crash at any point, and a straggler cannot undo what came after it:
 * the scripts leave a released hold released and a re-acquired one acquired.
 */
@Injectable()
export class StockMirror {
  constructor(private readonly stock: RedisStock) {}

  async apply(events: readonly RecordedEvent[]): Promise<void> {
    for (const ticketTypeId of new Set(events.map((event) => event.ticketTypeId))) {
      await this.applyTo(
        ticketTypeId,
        events.filter((event) => event.ticketTypeId === ticketTypeId),
      );
    }
  }

  /** Lost counters need nothing here: they will be rebuilt from the ledger, which has these movements. */
  private async applyTo(ticketTypeId: string, events: readonly RecordedEvent[]): Promise<void> {
    const standing = (...wanted: Standing[]): RecordedEvent[] =>
      events.filter(({ recorded }) => wanted.includes(standingOf(recorded)));
    const sold = standing('sold', 'reacquired').map((event) => ({
      ...event,
      reacquired: event.recorded.has('REACQUIRE'),
    }));
    await this.stock.markSold(ticketTypeId, sold);
    await this.stock.release(ticketTypeId, standing('rolled-back'), 'rollback');
    await this.stock.release(ticketTypeId, standing('refused', 'returned'), 'refused');
  }
}
