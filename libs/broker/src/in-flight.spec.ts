import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InFlight } from './in-flight.js';

const CONSUMER = 7;
type Delivery = { deliveryId: number };
const numbered = (number: number): Delivery => ({ deliveryId: number * 256 + CONSUMER });

describe('the deliveries in flight of a consumer', () => {
  it('are found by their ids as in a map, however long one of them stays', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 300 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({ settle: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }) }),
      },
      { weight: 1, arbitrary: fc.record({ settleAllButOldest: fc.constant(true) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 2 ** 44 }), (steps, first) => {
        const inFlight = new InFlight<Delivery>(20);
        const model = new Map<number, Delivery>();
        let last = first;
        const settle = (delivery: Delivery): void => {
          inFlight.remove(delivery);
          model.delete(delivery.deliveryId);
        };
        for (const each of steps) {
          if ('take' in each) {
            for (let i = 0; i < each.take; i++) {
              const delivery = numbered(++last);
              inFlight.add(delivery);
              model.set(delivery.deliveryId, delivery);
            }
          } else if ('settle' in each) {
            const delivery = [...model.values()][Math.floor(each.settle * model.size)];
            if (delivery) settle(delivery);
          } else {
            for (const delivery of [...model.values()].slice(1)) settle(delivery);
          }
          expect(inFlight.size).toBe(model.size);
          expect(inFlight.all()).toEqual([...model.values()]);
          for (const [id, delivery] of model) expect(inFlight.get(id)).toBe(delivery);
          expect(inFlight.get((last + 1) * 256 + CONSUMER)).toBeUndefined();
        }
      }),
    );
  });

  it('do not answer to the id of one that is settled and whose place was taken again', () => {
    const inFlight = new InFlight<Delivery>(1);
    const old = numbered(1);
    inFlight.add(old);
    inFlight.remove(old);
    const sharesItsPlace = numbered(1 + 64);
    inFlight.add(sharesItsPlace);
    expect(inFlight.get(old.deliveryId)).toBeUndefined();
    expect(inFlight.get(sharesItsPlace.deliveryId)).toBe(sharesItsPlace);
  });
});
