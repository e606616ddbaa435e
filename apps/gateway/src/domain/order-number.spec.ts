import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OrderNo, ticketTypeOf } from '#libs/contracts';
import { isTicketTypeId, orderNumberOf, type OrderRequest } from './order-number.js';

const request: OrderRequest = {
  buyerId: 'buyer-1',
  idempotencyKey: 'key-1',
  ticketTypeId: 'tt0123456789',
  quantity: 2,
};

describe('an order number', () => {
  test('is the same for the same request, today and after every release', () => {
    expect(orderNumberOf(request)).toBe(orderNumberOf({ ...request }));
    // Pinned: a release that computed another number would answer a retry with a second order.
    expect(orderNumberOf(request)).toBe('0123456789-gzf4zk8rrjzqd4ax');
  });

  test('has the form of the contract and carries its ticket type, whatever the buyer and the key are', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.string({ minLength: 1 }),
        fc.integer({ min: 1 }),
        (buyer, key, n) => {
          const orderNo = orderNumberOf({ ...request, buyerId: buyer, idempotencyKey: key, quantity: n });
          expect(OrderNo.safeParse(orderNo).success).toBe(true);
          expect(ticketTypeOf(orderNo)).toBe(request.ticketTypeId);
        },
      ),
    );
  });

  test.each([
    ['buyer', { buyerId: 'buyer-2' }],
    ['idempotency key', { idempotencyKey: 'key-2' }],
    ['ticket type', { ticketTypeId: 'tt0123456788' }],
    ['quantity', { quantity: 3 }],
  ])('differs with another %s', (_part, change) => {
    expect(orderNumberOf({ ...request, ...change })).not.toBe(orderNumberOf(request));
  });

  test('does not mix up where the buyer ends and the key begins', () => {
    const one = orderNumberOf({ ...request, buyerId: 'a|b', idempotencyKey: 'c' });
    const other = orderNumberOf({ ...request, buyerId: 'a', idempotencyKey: 'b|c' });
    expect(one).not.toBe(other);
  });
});

test('a ticket type id is recognised by its form', () => {
  expect(isTicketTypeId('tt0123456789')).toBe(true);
  for (const wrong of ['', 'tt', 'tt012345678', 'tt012345678i', 'TT0123456789', 'tt0123456789\n']) {
    expect(isTicketTypeId(wrong)).toBe(false);
  }
});
