import { expect, test } from '@jest/globals';
import { Minor } from '../values.js';
import { NewShow } from './shows.js';

const show = (priceMinor: number, quantity: number) => ({
  title: 'A show',
  venue: 'A hall',
  startsAt: '2026-12-01T20:00:00Z',
  sessions: [
    {
      startsAt: '2026-12-01T20:00:00Z',
      ticketTypes: [
        {
          name: 'Seat',
          priceMinor,
          currency: 'EUR',
          quantity,
          perUserLimit: quantity,
          saleOpensAt: '2026-11-01T00:00:00Z',
        },
      ],
    },
  ],
});

test('the dearest ticket in the largest order still has a total that an order can carry', () => {
  expect(NewShow.safeParse(show(1_000_000_000, 1_000_000)).success).toBe(true);
  expect(Minor.safeParse(1_000_000_000 * 1_000_000).success).toBe(true);
  expect(NewShow.safeParse(show(1_000_000_001, 1)).success).toBe(false);
  expect(NewShow.safeParse(show(1, 1_000_001)).success).toBe(false);
});
