import { Inject, Injectable } from '@nestjs/common';
import { MessageBus } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import { announcementsOf } from './announcements.js';
import { MovementLedger } from './movement-ledger.js';
import type { StockEvent } from './stock-event.js';
import { StockMirror } from './stock-mirror.js';

/**
 * Takes what became of orders into the ledger, from there into Redis, and tells the shop.
 *
 * Each of the three steps may be repeated and none is skipped because an earlier one was done before.
 * A process that dies between them is therefore made good by the redelivery of its messages.
 */
@Injectable()
export class MoveStock {
  constructor(
    private readonly ledger: MovementLedger,
    private readonly mirror: StockMirror,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async execute(events: readonly StockEvent[]): Promise<void> {
    const recorded = await this.ledger.record(events);
    await this.mirror.apply(recorded);
    const at = new Date(this.clock.now()).toISOString();
    await this.bus.sendBatch(recorded.flatMap((event) => announcementsOf(event, at)));
  }
}
