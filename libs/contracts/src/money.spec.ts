import { expect, test } from '@jest/globals';
import { formatMinor, SaleCurrency } from './money.js';

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

test.each([
  ['HUF', 2],
  ['COP', 2],
  ['IQD', 3],
  ['MGA', 2],
  ['MRU', 2],
  ['ALL', 2],
  ['IDR', 2],
  ['PKR', 2],
  ['LBP', 2],
  ['KRW', 0],
  ['ISK', 0],
  ['TND', 3],
  ['CLF', 4],
])('%s has the %d digits of ISO 4217, whatever CLDR prints', (currency, digits) => {
  expect(formatMinor(1_234_567, currency)).toMatch(
    digits === 0 ? /\d{3}$/ : new RegExp(`\\.\\d{${digits}}$`),
  );
  expect(formatMinor(1_234_567, currency).replace(/\D/g, '')).toBe('1234567');
});

test.each(['XBT', 'ABC', 'XXX', 'HRK', 'eur'])('tickets are not sold in %s', (currency) => {
  expect(SaleCurrency.safeParse(currency).success).toBe(false);
});
