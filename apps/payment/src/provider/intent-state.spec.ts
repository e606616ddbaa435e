import { expect, test } from '@jest/globals';
import { checkOut, type CheckoutOutcome, type IntentStatus } from './intent-state.js';

const cells: [IntentStatus, CheckoutOutcome, string | undefined][] = [
  ['OPEN', 'succeed', 'CAPTURED'],
  ['OPEN', 'fail', 'DECLINED'],
  ['DECLINED', 'succeed', 'CAPTURED'],
  ['DECLINED', 'fail', undefined],
  ['CAPTURED', 'succeed', undefined],
  ['REFUNDED', 'succeed', undefined],
];

test.each(cells)('%s + %s → %s', (status, outcome, expected) => {
  expect(checkOut(status, outcome)).toBe(expected);
});

test.each(['CAPTURED', 'REFUNDED'] as const)('%s money cannot be declined', (status) => {
  expect(() => checkOut(status, 'fail')).toThrow(
    expect.objectContaining({ code: 'PAYMENT_ALREADY_CAPTURED' }),
  );
});
