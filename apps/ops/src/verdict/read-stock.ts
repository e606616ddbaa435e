import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { REDIS } from '#libs/service-kit';
import { StockLedger } from '#libs/stock-ledger';
import type { RedisCounters } from './snapshot.js';

/** Ticket types asked for at once. */
const CHUNK = 100;

/** What Redis says of each ticket type, from its counters and from its holds one by one. */
@Injectable()
export class ReadStock {
  private readonly ledger: StockLedger;

  constructor(@Inject(REDIS) redis: Redis) {
    this.ledger = new StockLedger(redis);
  }

  async execute(ticketTypeIds: readonly string[]): Promise<Map<string, RedisCounters>> {
    const counters = new Map<string, RedisCounters>();
    for (let first = 0; first < ticketTypeIds.length; first += CHUNK) {
      const chunk = ticketTypeIds.slice(first, first + CHUNK);
      const audits = await Promise.all(chunk.map((id) => this.ledger.audit(id)));
      chunk.forEach((id, index) => {
        const audit = audits[index];
        if (audit !== undefined) counters.set(id, audit);
      });
    }
    return counters;
  }
}
