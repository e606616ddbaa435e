import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { check } from './check.js';
import type { SaleHistory } from './history.js';
import type { LooseHistory } from './planted/plant.js';
import { PLANTED } from './planted/planted-faults.js';
import { type Journey, SimulatedSale, WAY_NAMES } from './simulated-sale.js';
import { VIOLATIONS } from './violation.js';

const journey: fc.Arbitrary<Journey> = fc.record({
  before: fc.array(fc.constantFrom('unclear', 'busy'), { maxLength: 2 }),
  last: fc.constantFrom('accepted', 'accepted', 'refused', 'lost', 'ordered'),
  way: fc.constantFrom(...WAY_NAMES),
  looks: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
  copies: fc.integer({ min: 1, max: 2 }),
});

function saleOf(journeys: readonly Journey[]): SaleHistory {
  const sale = new SimulatedSale();
  for (const each of journeys) {
    // Who was answered once is never refused after it: the key stands for the order.
    const isPossible = each.last !== 'refused' || !each.before.includes('unclear');
    sale.buy(isPossible ? each : { ...each, last: 'lost' });
  }
  return sale.history();
}

/** Everything that a shop which keeps its word may do. */
const validSale = fc.array(journey, { maxLength: 20 }).map(saleOf);

/** One buyer of each kind, each way to its end. */
const richSale = (): SaleHistory =>
  saleOf([
    ...WAY_NAMES.map((way) => ({
      before: [],
      last: 'accepted' as const,
      way,
      looks: [1, 2, 3, 9],
      copies: 1,
    })),
    { before: ['busy'], last: 'refused', way: 'paid', looks: [], copies: 1 },
    { before: ['unclear', 'busy'], last: 'accepted', way: 'paid', looks: [3], copies: 2 },
    { before: ['unclear'], last: 'lost', way: 'paid', looks: [], copies: 1 },
    { before: ['unclear'], last: 'ordered', way: 'timed-out', looks: [], copies: 1 },
  ]);

const loose = (history: SaleHistory): LooseHistory => structuredClone(history) as unknown as LooseHistory;

describe('the checker of a sale', () => {
  it('accepts every history of a shop that keeps its word', () => {
    fc.assert(
      fc.property(validSale, (history) => {
        expect(check(history).violations).toEqual({});
      }),
      { numRuns: 300 },
    );
  });

  it.each(PLANTED)('catches $name', ({ kind, plant }) => {
    const history = loose(richSale());
    expect(plant(history, () => 0)).toBe(true);
    const { ok, violations } = check(history);
    expect(ok).toBe(false);
    expect(Object.keys(violations)).toContain(kind);
  });

  it('catches each fault wherever it is planted in a valid history', () => {
    fc.assert(
      fc.property(validSale, fc.constantFrom(...PLANTED), fc.nat(), (valid, { kind, plant }, place) => {
        const history = loose(valid);
        if (!plant(history, (length) => place % length)) return;
        expect(Object.keys(check(history as unknown as SaleHistory).violations)).toContain(kind);
      }),
      { numRuns: 600 },
    );
  });

  it('has a planted fault for every kind of violation', () => {
    expect(new Set(PLANTED.map(({ kind }) => kind))).toEqual(new Set(Object.keys(VIOLATIONS)));
  });

  it('excuses an end while the disk is full, and no answer while the gateway is struck', () => {
    const history = loose(richSale());
    history.struck = [{ victim: 'disk:broker', how: 'fill', fromMs: 0, untilMs: 5_000 }];
    history.ends = [{ process: 'broker', how: 'broker ended with code 1', atMs: 4_000 }];
    expect(Object.keys(check(history as unknown as SaleHistory).violations)).toEqual(['unanswered']);
    history.struck.push({ victim: 'link:buyers-gateway', how: 'refuse', fromMs: 0, untilMs: 5_000 });
    expect(check(history as unknown as SaleHistory).violations).toEqual({});
  });

  it('counts what was unclear', () => {
    const { counts } = check(richSale());
    expect(counts.keys).toEqual({ accepted: 6, refused: 1, unclear: 2, unclearButOrdered: 1 });
    expect(counts.orders).toEqual({ PAID: 3, CANCELLED: 3, REFUNDED: 1 });
    expect(counts.mails).toEqual({ received: 8, copies: 1 });
  });
});
