import { describe, expect, it } from '@jest/globals';
import { OrderNo, ticketTypeOf, TicketTypeId } from '#libs/contracts';
import { newTicketTypeId, orderNoFor, otherOrderNosFor } from './order-no.js';

const NOON_MS = Date.UTC(2026, 10, 26, 12);
const MIDNIGHT_MS = Date.UTC(2026, 10, 27);
const request = { buyerId: 'ann', idempotencyKey: 'k1', ticketTypeId: 'tt0123456789', quantity: 2 };

describe('order numbers', () => {
  it('are the same for the same request and carry its ticket type', () => {
    const orderNo = orderNoFor(request, NOON_MS);
    expect(OrderNo.parse(orderNo)).toBe(orderNoFor({ ...request }, NOON_MS));
    expect(ticketTypeOf(orderNo)).toBe('tt0123456789');
  });

  it('differ when anything differs', () => {
    const others = [
      { buyerId: 'bob' },
      { idempotencyKey: 'k2' },
      { ticketTypeId: 'tt012345678a' },
      { quantity: 3 },
    ];
    const numbers = new Set(others.map((other) => orderNoFor({ ...request, ...other }, NOON_MS)));
    expect(numbers.add(orderNoFor(request, NOON_MS)).size).toBe(5);
  });

  it('are known to each other for a day, also across midnight and between clocks that differ', () => {
    const known = (atMs: number): string[] => [orderNoFor(request, atMs), ...otherOrderNosFor(request, atMs)];
    expect(known(NOON_MS)).toHaveLength(3);
    for (const [takenAtMs, repeatedAtMs] of [
      [NOON_MS, NOON_MS + 60_000],
      [MIDNIGHT_MS - 1, MIDNIGHT_MS],
      [NOON_MS, NOON_MS + 86_400_000],
      [MIDNIGHT_MS, MIDNIGHT_MS - 200_000],
    ] as const) {
      expect(known(repeatedAtMs)).toContain(orderNoFor(request, takenAtMs));
    }
    expect(known(NOON_MS + 2 * 86_400_000)).not.toContain(orderNoFor(request, NOON_MS));
  });

  it('take ticket type ids of the right form', () => {
    expect(TicketTypeId.safeParse(newTicketTypeId()).success).toBe(true);
  });
});
