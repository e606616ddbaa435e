import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '#libs/service-kit';
import { RedisStock, type LedgerOrder, type RebuildResult } from '#libs/redis-stock';
import { PrismaClient, type Prisma } from '#prisma/stock';
import { ticketTypeNotFound } from '../domain/errors.js';
import { standingOf, type Movement, type Standing } from '../domain/movements.js';
import { lockTicketTypes } from '../move-stock/movement-ledger.js';

/** For the largest ticket type, a million orders. */
const TRANSACTION = { maxWait: 10_000, timeout: 60_000 };
/** Released orders that are older need no tombstone any more: see TOMBSTONE_MS of `RedisStock`. */
const TOMBSTONE_MS = 86_400_000;

type OrderRow = { orderNo: string; buyerId: string; quantity: number; movements: Movement[]; at: Date };

/**
 * Makes one ticket type's counters, limits and holds in Redis anew from the ledger.
 *
 * The ticket type stays locked from before the ledger is read until Redis is written, so no movement
 * can fall between the two: one that was committed before is in the snapshot, one that comes after
 * finds the new counters. Holds of orders that the ledger does not know yet are kept.
 */
@Injectable()
export class RebuildStock {
  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  execute(ticketTypeId: string): Promise<RebuildResult> {
    return this.database.$transaction(async (tx) => {
      await lockTicketTypes(tx, [ticketTypeId]);
      const ticketType = await tx.ticketType.findUnique({
        where: { id: ticketTypeId },
        include: { session: { select: { startsAt: true } } },
      });
      if (ticketType === null) throw ticketTypeNotFound(ticketTypeId);
      const nowMs = this.clock.now();
      const startsAtMs = ticketType.session.startsAt.getTime();
      return this.stock.rebuild({
        ticketTypeId,
        initial: ticketType.quantity,
        unitPriceMinor: Number(ticketType.priceMinor),
        currency: ticketType.currency,
        perUserLimit: ticketType.perUserLimit,
        saleOpensAtMs: ticketType.saleOpensAt.getTime(),
        // No ticket is sold once its session has begun, whatever was written before that was checked.
        saleClosesAtMs: Math.min(ticketType.saleClosesAt?.getTime() ?? Infinity, startsAtMs),
        startsAtMs,
        orders: await readOrders(tx, ticketTypeId, nowMs),
      });
    }, TRANSACTION);
  }
}

async function readOrders(
  tx: Prisma.TransactionClient,
  ticketTypeId: string,
  nowMs: number,
): Promise<LedgerOrder[]> {
  const rows = await tx.$queryRawUnsafe<OrderRow[]>(
    `SELECT order_no AS "orderNo", min(buyer_id) AS "buyerId", max(quantity) AS quantity,
            array_agg(movement) AS movements, max(at) AS at
     FROM ledger WHERE ticket_type_id = $1 AND movement <> 'SYNC' GROUP BY order_no`,
    ticketTypeId,
  );
  return rows
    .map(({ movements, at, ...order }) => ({
      ...order,
      atMs: at.getTime(),
      standing: ledgerStanding(new Set(movements)),
    }))
    .filter((order) => order.standing !== 'released' || order.atMs > nowMs - TOMBSTONE_MS);
}

const STANDINGS = {
  unknown: 'released',
  sold: 'sold',
  'rolled-back': 'released',
  reacquired: 'reacquired',
  refused: 'ended',
  returned: 'ended',
} as const satisfies Record<Standing, LedgerOrder['standing']>;
const ledgerStanding = (recorded: ReadonlySet<Movement>): LedgerOrder['standing'] =>
  STANDINGS[standingOf(recorded)];
