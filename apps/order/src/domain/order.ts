import { ORDER_STATUSES, type OrderFacts, type OrderStatus } from '#libs/contracts';
import type { OrderState, WrittenStatus } from './order-state.js';

/** One line of an order's history. Each change of status appends one, in the statement that changes it. */
export type HistoryEntry = {
  status: OrderStatus;
  /** ISO 8601. The same instant as in the message that announces the change: the check-back finds it by that. */
  at: string;
  reason?: string;
};

/** A written order. */
export type Order = OrderFacts &
  OrderState & {
    history: readonly HistoryEntry[];
    /** Epoch milliseconds; undefined for an order that was rejected before it waited for a payment. */
    payBeforeMs: number | undefined;
    createdAtMs: number;
  };

/** @throws when the database holds a status that no code writes. */
export function writtenStatus(text: string): WrittenStatus {
  const status = ORDER_STATUSES.find((known) => known === text);
  if (status === undefined || status === 'QUEUED') throw new Error(`an order row has the status ${text}`);
  return status;
}
