import { expect, test } from '@jest/globals';
import { formatMinor } from './amount.js';

test.each([
  [12_345, 'EUR', '€123.45'],
  [5, 'EUR', '€0.05'],
  [0, 'USD', '$0.00'],
  [500, 'JPY', '¥500'],
  [123_456_789, 'USD', '$1,234,567.89'],
  [1_234, 'BHD', 'BHD\u00a01.234'],
  [9_007_199_254_740_991, 'EUR', '€90,071,992,547,409.91'],
])('%d minor units of %s read as %s', (amountMinor, currency, text) => {
  expect(formatMinor(amountMinor, currency)).toBe(text);
});
