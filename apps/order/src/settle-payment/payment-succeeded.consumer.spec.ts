import { expect, test } from '@jest/globals';
import { PAYMENT_RETRY } from './payment-succeeded.consumer.js';

/** Between the first and the last try, with the shortest delays that there may be. */
function patienceMs(): number {
  let sum = 0;
  for (let attempt = 1; attempt < PAYMENT_RETRY.attempts; attempt++) {
    sum += PAYMENT_RETRY.delayMs(attempt, () => 1);
  }
  return sum;
}

test('a late payment sits out most of an hour in which nobody gives tickets back, and looks often at first', () => {
  expect(patienceMs()).toBeGreaterThan(45 * 60_000);
  expect(PAYMENT_RETRY.delayMs(1, () => 0)).toBeLessThanOrEqual(100);
});
