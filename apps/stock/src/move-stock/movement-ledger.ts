import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '#libs/service-kit';
import { PrismaClient, type Prisma } from '#prisma/stock';
import { decide, type Movement } from '../domain/movements.js';
import { ticketTypeNotFound } from '../domain/errors.js';
import type { RecordedEvent, StockEvent } from './stock-event.js';

/** Longer than a batch of 500 ever takes; a batch that waits longer for its lock is delivered again. */
const TRANSACTION = { maxWait: 5_000, timeout: 15_000 };

type TicketTypeRow = { id: string; quantity: number; sold: number };
type NewRow = StockEvent & { movement: Movement };

/** The ledger in Postgres: append-only rows, and a running total per ticket type. */
@Injectable()
export class MovementLedger {
  constructor(
    private readonly database: PrismaClient,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Records what the events mean, in one transaction, and answers what is known of each order then.
   *
   * The ticket types are locked first, in the order of their ids so that two batches cannot deadlock.
   * Nothing else writes to the ledger, so what is read under the lock stays true until the commit, and
   * the decisions are plain functions of it.
   */
  record(events: readonly StockEvent[]): Promise<RecordedEvent[]> {
    return this.database.$transaction(async (tx) => {
      const ticketTypes = await lockTicketTypes(tx, [...new Set(events.map((event) => event.ticketTypeId))]);
      const known = await readMovements(tx, events);
      const rows: NewRow[] = [];
      const deltas = new Map<string, number>();
      for (const event of events) {
        const ticketType = ticketTypes.get(event.ticketTypeId);
        if (ticketType === undefined) throw ticketTypeNotFound(event.ticketTypeId);
        const recorded = known.get(event.orderNo) ?? new Set<Movement>();
        const taken = deltas.get(event.ticketTypeId) ?? 0;
        const free = ticketType.quantity - ticketType.sold - taken;
        const { append, soldDelta } = decide(event.fact, recorded, event.quantity, free);
        for (const movement of append) {
          recorded.add(movement);
          rows.push({ ...event, movement });
        }
        known.set(event.orderNo, recorded);
        deltas.set(event.ticketTypeId, taken + soldDelta);
      }
      await this.append(tx, rows);
      await addToSold(tx, deltas);
      return events.map((event) => ({ ...event, recorded: known.get(event.orderNo) ?? new Set() }));
    }, TRANSACTION);
  }

  private async append(tx: Prisma.TransactionClient, rows: readonly NewRow[]): Promise<void> {
    if (rows.length === 0) return;
    await tx.$executeRawUnsafe(
      `INSERT INTO ledger (order_no, ticket_type_id, buyer_id, movement, quantity, at)
       SELECT row.*, $6::timestamptz
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[]) AS row`,
      rows.map((row) => row.orderNo),
      rows.map((row) => row.ticketTypeId),
      rows.map((row) => row.buyerId),
      rows.map((row) => row.movement),
      rows.map((row) => row.quantity),
      new Date(this.clock.now()),
    );
  }
}

/** The rows of the ticket types, locked until the transaction ends. */
export async function lockTicketTypes(
  tx: Prisma.TransactionClient,
  ids: readonly string[],
): Promise<Map<string, TicketTypeRow>> {
  const rows = await tx.$queryRawUnsafe<TicketTypeRow[]>(
    'SELECT id, quantity, sold FROM ticket_types WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE',
    ids,
  );
  return new Map(rows.map((row) => [row.id, row]));
}

async function readMovements(
  tx: Prisma.TransactionClient,
  events: readonly StockEvent[],
): Promise<Map<string, Set<Movement>>> {
  const rows = await tx.$queryRawUnsafe<{ orderNo: string; movement: Movement }[]>(
    'SELECT order_no AS "orderNo", movement FROM ledger WHERE order_no = ANY($1::text[])',
    events.map((event) => event.orderNo),
  );
  const known = new Map<string, Set<Movement>>();
  for (const { orderNo, movement } of rows) {
    const movements = known.get(orderNo);
    if (movements) movements.add(movement);
    else known.set(orderNo, new Set([movement]));
  }
  return known;
}

async function addToSold(tx: Prisma.TransactionClient, deltas: ReadonlyMap<string, number>): Promise<void> {
  const changes = [...deltas].filter(([, delta]) => delta !== 0);
  if (changes.length === 0) return;
  const updated = await tx.$executeRawUnsafe(
    `UPDATE ticket_types SET sold = sold + change.delta
     FROM unnest($1::text[], $2::int[]) AS change(id, delta)
     WHERE ticket_types.id = change.id AND sold + change.delta BETWEEN 0 AND quantity`,
    changes.map(([id]) => id),
    changes.map(([, delta]) => delta),
  );
  // The decisions were made under the lock, so this cannot happen; overselling is worth asking twice.
  if (updated !== changes.length) throw new Error('the ledger refuses to pass a quantity');
}
