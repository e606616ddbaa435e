import { describe, expect, test } from '@jest/globals';
import { decidePlacing, type HoldState, type Placing, type Refusal, type Reservation } from './placing.js';

const decide = (reservation: Reservation, isKeyReused = false): Placing =>
  decidePlacing({ ticketTypeId: 'tt0123456789', isKeyReused, reservation });

describe('the same request', () => {
  test('is submitted when the hold is new', () => {
    expect(decide({ outcome: 'reserved', state: 'held' })).toEqual({ action: 'submit' });
  });

  test('is submitted again while nobody has claimed its hold, because the first message may be lost', () => {
    expect(decide({ outcome: 'replayed', state: 'held' })).toEqual({ action: 'submit' });
  });

  test.each<HoldState>(['claimed', 'sold', 'reacquired'])('is only answered once its hold is %s', (state) => {
    expect(decide({ outcome: 'replayed', state })).toEqual({ action: 'answer' });
  });

  test('whose hold was released is answered by what the order service knows', () => {
    expect(decide({ outcome: 'replayed', state: 'released' })).toEqual({
      action: 'ask-order-service',
    });
  });
});

describe('a key used for another request', () => {
  test('is refused and the hold made by this call is given back', () => {
    const decision = decide({ outcome: 'reserved', state: 'held' }, true);
    expect(decision).toEqual({ action: 'refuse-key-reuse', releaseHold: true });
  });

  test('is refused without touching a hold that this call did not make', () => {
    const keep = { action: 'refuse-key-reuse', releaseHold: false };
    expect(decide({ outcome: 'replayed', state: 'held' }, true)).toEqual(keep);
    expect(decide({ outcome: 'sold-out' }, true)).toEqual(keep);
  });
});

test.each<[Refusal, string, string]>([
  ['sold-out', 'SOLD_OUT', 'conflict'],
  ['limit-exceeded', 'LIMIT_EXCEEDED', 'conflict'],
  ['sale-not-open', 'SALE_NOT_OPEN', 'conflict'],
  ['sale-over', 'SALE_NOT_OPEN', 'conflict'],
  ['unknown-ticket-type', 'TICKET_TYPE_NOT_FOUND', 'not-found'],
  ['not-ready', 'STOCK_NOT_READY', 'transient'],
])('%s is refused as %s', (outcome, code, kind) => {
  expect(decide({ outcome })).toMatchObject({ action: 'refuse', error: { code, kind } });
});
