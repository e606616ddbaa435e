import type { OrderFacts } from '#libs/contracts';
import type { OrderFact, Recorded } from '../domain/movements.js';

/** An order and what became of it. */
export type StockEvent = Pick<OrderFacts, 'orderNo' | 'ticketTypeId' | 'buyerId' | 'quantity'> & {
  fact: OrderFact;
};

/** An order and everything that the ledger has recorded of it. */
export type RecordedEvent = StockEvent & { recorded: Recorded };
