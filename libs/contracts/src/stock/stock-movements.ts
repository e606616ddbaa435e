import { z } from 'zod';
import { defineEvent, type PayloadOf } from '#libs/messaging';
import { Instant, OrderNo, Quantity, TicketTypeId } from '../values.js';

const Movement = z.object({
  orderNo: OrderNo,
  ticketTypeId: TicketTypeId,
  quantity: Quantity,
  at: Instant,
});

/** The ledger took the order's tickets, or refused because none were left. */
export const StockDeducted = defineEvent({
  topic: 'stock',
  tag: 'deduct',
  version: 1,
  key: (movement) => movement.orderNo,
  payload: Movement.extend({ outcome: z.enum(['deducted', 'refused']) }),
});
export type StockDeducted = PayloadOf<typeof StockDeducted>;

/** The order is paid: its tickets are sold for good. */
export const StockConfirmed = defineEvent({
  topic: 'stock',
  tag: 'confirm',
  version: 1,
  key: (movement) => movement.orderNo,
  payload: Movement,
});
export type StockConfirmed = PayloadOf<typeof StockConfirmed>;

/** The order was cancelled: its tickets are free again. */
export const StockRolledBack = defineEvent({
  topic: 'stock',
  tag: 'rollback',
  version: 1,
  key: (movement) => movement.orderNo,
  payload: Movement,
});
export type StockRolledBack = PayloadOf<typeof StockRolledBack>;

/** Redis was rebuilt from the ledger, or a drift was repaired. */
export const StockSynced = defineEvent({
  topic: 'stock',
  tag: 'sync',
  version: 1,
  key: (sync) => sync.ticketTypeId,
  payload: z.object({
    ticketTypeId: TicketTypeId,
    cause: z.enum(['created', 'rebuilt', 'repaired']),
    free: z.int(),
    sold: z.int(),
    at: Instant,
  }),
});
export type StockSynced = PayloadOf<typeof StockSynced>;
