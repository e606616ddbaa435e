import { describe, expect, it } from '@jest/globals';
import { OrderNo, ticketTypeOf, TicketTypeId } from '#libs/contracts';
import { newTicketTypeId, orderNoFor } from './order-no.js';

const request = { buyerId: 'ann', idempotencyKey: 'k1', ticketTypeId: 'tt0123456789', quantity: 2 };

describe('order numbers', () => {
  it('are the same for the same request and carry its ticket type', () => {
    const orderNo = orderNoFor(request);
    expect(OrderNo.parse(orderNo)).toBe(orderNoFor({ ...request }));
    expect(ticketTypeOf(orderNo)).toBe('tt0123456789');
  });

  it('differ when anything differs', () => {
    const others = [
      { buyerId: 'bob' },
      { idempotencyKey: 'k2' },
      { ticketTypeId: 'tt012345678a' },
      { quantity: 3 },
    ];
    const numbers = new Set(others.map((other) => orderNoFor({ ...request, ...other })));
    expect(numbers.add(orderNoFor(request)).size).toBe(5);
  });

  it('take ticket type ids of the right form', () => {
    expect(TicketTypeId.safeParse(newTicketTypeId()).success).toBe(true);
  });
});
