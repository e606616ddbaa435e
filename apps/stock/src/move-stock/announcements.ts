import { StockConfirmed, StockDeducted, StockRolledBack } from '#libs/contracts';
import { envelope, type Envelope } from '#libs/messaging';
import { standingOf } from '../domain/movements.js';
import type { RecordedEvent } from './stock-event.js';

/**
 * What the rest of the shop hears of an event. The ids are made of the order and the movement, so a
 * broker that has stored one stores no second one within its de-duplication window.
 */
export function announcementsOf(event: RecordedEvent, at: string): Envelope[] {
  const { orderNo, ticketTypeId, quantity, recorded, fact } = event;
  const movement = { orderNo, ticketTypeId, quantity, at };
  if (standingOf(recorded) === 'refused') {
    // Each fact has a refusal of its own: the first may have met an order that was cancelled and had
    // nothing to lose, while the one after a late payment is what sends the money back.
    const id = `stock.deduct:${orderNo}:refused:${fact}`;
    return [envelope(StockDeducted, { ...movement, outcome: 'refused' }, { id })];
  }
  switch (fact) {
    case 'created':
      return [
        envelope(StockDeducted, { ...movement, outcome: 'deducted' }, { id: `stock.deduct:${orderNo}` }),
      ];
    case 'paid':
    case 'paid-after-cancellation':
      return [envelope(StockConfirmed, movement, { id: `stock.confirm:${orderNo}` })];
    case 'cancelled':
      return [envelope(StockRolledBack, movement, { id: `stock.rollback:${orderNo}` })];
    case 'refunded':
      // An order that was cancelled and paid late has a rollback before this one.
      return [envelope(StockRolledBack, movement, { id: `stock.return:${orderNo}` })];
  }
}
