import { describe, expect, it } from '@jest/globals';
import { decide, standingOf, type Movement, type OrderFact } from './movements.js';

const QUANTITY = 2;

/** Feeds the facts one after another to an order of two tickets and answers what is recorded and sold. */
function history(facts: readonly OrderFact[], free = 10): { recorded: Movement[]; sold: number } {
  const recorded = new Set<Movement>();
  let sold = 0;
  for (const fact of facts) {
    const { append, soldDelta } = decide(fact, recorded, QUANTITY, free - sold);
    for (const movement of append) {
      if (recorded.has(movement)) throw new Error(`${movement} twice`);
      recorded.add(movement);
    }
    sold += soldDelta;
  }
  return { recorded: [...recorded], sold };
}

describe('movements', () => {
  it.each<[OrderFact[], Movement[], number]>([
    [['created'], ['DEDUCT'], 2],
    [['created', 'created'], ['DEDUCT'], 2],
    [['created', 'paid'], ['DEDUCT', 'CONFIRM'], 2],
    [['paid', 'created'], ['DEDUCT', 'CONFIRM'], 2],
    [['created', 'paid', 'paid', 'created'], ['DEDUCT', 'CONFIRM'], 2],
    [['created', 'cancelled'], ['DEDUCT', 'ROLLBACK'], 0],
    [['created', 'paid', 'refunded', 'refunded', 'paid'], ['DEDUCT', 'CONFIRM', 'RETURN'], 0],
    [['created', 'refunded', 'paid'], ['DEDUCT', 'RETURN'], 0],
    [['refunded', 'paid', 'created'], ['DEDUCT', 'RETURN'], 0],
    [['cancelled', 'refunded', 'paid-after-cancellation'], ['DEDUCT', 'ROLLBACK', 'REACQUIRE', 'RETURN'], 0],
    [
      ['cancelled', 'paid-after-cancellation', 'refunded', 'cancelled'],
      ['DEDUCT', 'ROLLBACK', 'REACQUIRE', 'CONFIRM', 'RETURN'],
      0,
    ],
    [['cancelled', 'created'], ['DEDUCT', 'ROLLBACK'], 0],
    [['created', 'cancelled', 'cancelled', 'created'], ['DEDUCT', 'ROLLBACK'], 0],
    [['cancelled', 'paid-after-cancellation', 'created'], ['DEDUCT', 'ROLLBACK', 'REACQUIRE', 'CONFIRM'], 2],
    [
      ['created', 'cancelled', 'paid-after-cancellation', 'cancelled', 'paid-after-cancellation'],
      ['DEDUCT', 'ROLLBACK', 'REACQUIRE', 'CONFIRM'],
      2,
    ],
  ])('%j is recorded as %j and sells %i', (facts, recorded, sold) => {
    expect(history(facts)).toEqual({ recorded, sold });
  });

  it.each<[OrderFact[], Movement[]]>([
    [['created', 'created', 'cancelled', 'paid'], ['REFUSED']],
    [['paid', 'created'], ['REFUSED']],
    [
      ['cancelled', 'paid-after-cancellation', 'paid-after-cancellation', 'created'],
      ['DEDUCT', 'ROLLBACK', 'REFUSED'],
    ],
  ])('%j of more than is left is refused for good', (facts, recorded) => {
    expect(history(facts, 1)).toEqual({ recorded, sold: 0 });
  });

  it.each<OrderFact[][]>([[['created']], [['paid']], [['cancelled', 'paid-after-cancellation']]])(
    '%j of the very last tickets is sold',
    (facts) => {
      expect(history(facts, QUANTITY).sold).toBe(QUANTITY);
    },
  );

  it('waits for the rollback that a late payment follows', () => {
    expect(() => history(['created', 'paid-after-cancellation'])).toThrow(
      expect.objectContaining({ code: 'ROLLBACK_NOT_SEEN', kind: 'not-found' }),
    );
  });

  it.each<OrderFact[][]>([[['created', 'paid', 'cancelled']], [['created', 'cancelled', 'paid']]])(
    'takes %j for the bug it is',
    (facts) => {
      expect(() => history(facts)).toThrow(expect.objectContaining({ kind: 'invalid' }));
    },
  );

  it('stand as the last of their facts left them', () => {
    const standings: [Movement[], string][] = [
      [[], 'unknown'],
      [['DEDUCT', 'CONFIRM'], 'sold'],
      [['DEDUCT', 'ROLLBACK'], 'rolled-back'],
      [['DEDUCT', 'ROLLBACK', 'REACQUIRE'], 'reacquired'],
      [['DEDUCT', 'ROLLBACK', 'REFUSED'], 'refused'],
    ];
    for (const [recorded, standing] of standings) expect(standingOf(new Set(recorded))).toBe(standing);
  });
});
