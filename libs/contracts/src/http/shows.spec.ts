import { expect, test } from '@jest/globals';
import { Minor } from '../values.js';
import { NewShow } from './shows.js';

const show = (priceMinor: number, quantity: number, sale: object = {}) => ({
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
          ...sale,
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

test.each([
  ['an end before the session', { saleClosesAt: '2026-11-30T00:00:00Z' }, true],
  ['an end with the session', { saleClosesAt: '2026-12-01T20:00:00Z' }, true],
  ['an end after the start of the session', { saleClosesAt: '2026-12-01T20:00:01Z' }, false],
  ['an end before its beginning', { saleClosesAt: '2026-11-01T00:00:00Z' }, false],
  ['a beginning with the session', { saleOpensAt: '2026-12-01T20:00:00Z' }, false],
  ['a beginning in the year 18', { saleOpensAt: '0018-12-01T20:00:00Z' }, false],
  ['a beginning at the epoch', { saleOpensAt: '1970-01-01T00:00:00Z' }, true],
  ['an end in the year 9999', { saleClosesAt: '9999-12-01T20:00:00Z' }, false],
])('a sale with %s: %p', (_, sale, isFine) => {
  expect(NewShow.safeParse(show(1, 1, sale)).success).toBe(isFine);
});

test('a price is in a currency that exists', () => {
  expect(NewShow.safeParse(show(1, 1, { currency: 'HUF' })).success).toBe(true);
  expect(NewShow.safeParse(show(1, 1, { currency: 'XBT' })).success).toBe(false);
});

test.each(['', ' ', '\t\n', '\u00a0', '\u200b', '\u0000', '\ufeff'])(
  '%j is no title, venue or name',
  (blank) => {
    const [session] = show(1, 1).sessions;
    const [ticketType] = session?.ticketTypes ?? [];
    const named = {
      ...show(1, 1),
      sessions: [{ ...session, ticketTypes: [{ ...ticketType, name: blank }] }],
    };
    for (const input of [{ ...show(1, 1), title: blank }, { ...show(1, 1), venue: blank }, named]) {
      expect(NewShow.safeParse(input).success).toBe(false);
    }
    expect(NewShow.safeParse({ ...show(1, 1), title: ` ${blank}演唱会` }).success).toBe(true);
  },
);
