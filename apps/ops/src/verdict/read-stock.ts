import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { REDIS } from '#libs/service-kit';
import { RedisStock, type StoredHold } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/ops';
import { Gathered, type Finding } from './finding.js';
import { RETURN_MARGIN_MS } from './read-books.js';
import { brokenBy, isStanding, MISSING, type HoldersOrder } from './rules/hold-rules.js';
import { PLACED_AT, queryOf } from './rules/sql-rule.js';
import type { Demand, StockInRedis, TicketTypeFacts } from './rules/stock-rules.js';

/** $1 order numbers. */
const ORDERS = `
  SELECT o.order_no AS "orderNo", o.status, o.ticket_type_id AS "ticketTypeId", o.buyer_id AS "buyerId", o.quantity,
         ${PLACED_AT} AS "placedAt"
  FROM "order".orders o WHERE order_no = ANY($1::text[])`;

type PlacedOrder = HoldersOrder & { placedAt: Date };

export type StockRead = {
  /** By ticket type; those that Redis does not know are absent. */
  redis: Map<string, StockInRedis>;
  /** Tickets that came back since the last sold-out answer from holds that never became an order, without those taken since. */
  returnedSince: number;
  findings: Finding[];
};

/**
 * What Redis says of each ticket type, from its counters and from its holds one by one, each held against its order's
 * row. Some hundreds of holds at a time: neither Redis nor this process has to hold all of them at once.
 */
@Injectable()
export class ReadStock {
  private readonly stock: RedisStock;

  constructor(
    @Inject(REDIS) redis: Redis,
    private readonly prisma: PrismaClient,
  ) {
    this.stock = new RedisStock(redis);
  }

  async execute(
    ticketTypes: readonly Pick<TicketTypeFacts, 'ticketTypeId' | 'standingOrders'>[],
    demand: Demand | undefined,
  ): Promise<StockRead> {
    const gathered = new Gathered();
    const redis = new Map<string, StockInRedis>();
    let returnedSince = 0;
    for (const type of ticketTypes) {
      const { ticketTypeId } = type;
      const isDemanded = demand?.ticketTypeId === ticketTypeId;
      const sinceMs = isDemanded ? (demand.lastSoldOutAtMs ?? Infinity) : Infinity;
      const scanned = await this.scan(type, sinceMs, gathered);
      returnedSince += scanned.returned;
      // After the holds: a counter that moved meanwhile differs, and `quiet` then tells why.
      const counters = await this.stock.read(ticketTypeId);
      if (counters === undefined) continue;
      const charged = await this.stock.charged(ticketTypeId);
      redis.set(ticketTypeId, { ...counters, holds: scanned.holds, charged });
    }
    return { redis, returnedSince, findings: gathered.findings };
  }

  /**
   * `returned`: tickets of holds that were given back since then and never became an order, without those that somebody has
   * taken since. A hold may be younger here than it is (Redis had lost it), an order may have been sent again: the earlier counts.
   */
  private async scan(
    { ticketTypeId, standingOrders }: Pick<TicketTypeFacts, 'ticketTypeId' | 'standingOrders'>,
    sinceMs: number,
    gathered: Gathered,
  ): Promise<{ holds: StockInRedis['holds']; returned: number }> {
    const holds = { held: 0, sold: 0 };
    let returned = 0;
    let ofStanding = 0;
    for await (const page of this.stock.scanHolds(ticketTypeId)) {
      const orders = await this.ordersOf(page);
      for (const hold of page) {
        const { orderNo, quantity, state } = hold;
        const order = orders.get(orderNo);
        if (state === 'held' || state === 'claimed') holds.held += quantity;
        else if (state !== 'released') holds.sold += quantity;
        else if (order === undefined && hold.dueMs >= sinceMs - RETURN_MARGIN_MS) returned += quantity;
        if (order !== undefined && Math.min(hold.heldAtMs, order.placedAt.getTime()) >= sinceMs)
          returned -= quantity;
        if (order !== undefined && isStanding(order)) ofStanding += 1;
        const broken = brokenBy(hold, ticketTypeId, order);
        if (broken !== undefined) gathered.add(broken, [orderNo]);
      }
    }
    const missing = standingOrders - ofStanding;
    if (missing > 0) gathered.add(MISSING, [`${ticketTypeId}: ${ofStanding} of ${standingOrders}`], missing);
    return { holds, returned };
  }

  private async ordersOf(holds: readonly StoredHold[]): Promise<Map<string, PlacedOrder>> {
    const orderNos = holds.map(({ orderNo }) => orderNo);
    const rows = await queryOf(this.prisma)<PlacedOrder & { orderNo: string }>(ORDERS, orderNos);
    return new Map(rows.map((row) => [row.orderNo, row]));
  }
}
