import { describe, expect, it } from '@jest/globals';
import type { Delivery } from '#libs/messaging';
import { OrderPaidConsumer } from '../confirm-stock/order-paid.consumer.js';
import { OrderRefundedConsumer } from '../return-stock/order-refunded.consumer.js';
import type { MoveStock } from './move-stock.js';
import type { StockEvent } from './stock-event.js';

const order = { orderNo: 'order', ticketTypeId: 'type', buyerId: 'buyer', quantity: 2 };

/** What the ledger is asked to record of these messages. */
async function factsOf<Payload>(
  Consumer: new (moveStock: MoveStock) => { handle(deliveries: readonly Delivery<Payload>[]): Promise<void> },
  ...payloads: object[]
): Promise<string[]> {
  const events: StockEvent[] = [];
  const moveStock = { execute: async (those: readonly StockEvent[]) => void events.push(...those) };
  const consumer = new Consumer(moveStock as MoveStock);
  await consumer.handle(
    payloads.map((payload) => ({ payload: { ...order, ...payload } }) as Delivery<Payload>),
  );
  return events.map(({ fact }) => fact);
}

describe('the ledger hears', () => {
  it('that an order was paid, and whether its tickets have to be taken again first', async () => {
    const facts = await factsOf(OrderPaidConsumer, { reacquired: false }, { reacquired: true });
    expect(facts).toEqual(['paid', 'paid-after-cancellation']);
  });

  it('of a refund when the buyer had tickets, and not when there were none for the money', async () => {
    expect(await factsOf(OrderRefundedConsumer, { ticketsReturned: true })).toEqual(['refunded']);
    expect(await factsOf(OrderRefundedConsumer, {}, { ticketsReturned: false })).toEqual([]);
  });
});
