import { expect, test } from '@jest/globals';
import { publicUrl } from './public-url.js';

const fallback = 'http://127.0.0.1:3003';

test('the configured URL wins', () => {
  expect(publicUrl('https://shop.example', { 'x-forwarded-host': 'other' }, fallback)).toBe(
    'https://shop.example',
  );
});

test.each([
  [{ 'x-forwarded-host': 'shop.example' }, 'http://shop.example'],
  [{ 'x-forwarded-host': 'shop.example', 'x-forwarded-proto': 'https' }, 'https://shop.example'],
  [{ 'x-forwarded-host': 'shop.example, proxy', 'x-forwarded-proto': 'https, http' }, 'https://shop.example'],
  [{ 'x-forwarded-host': ['[::1]:3000'] }, 'http://[::1]:3000'],
  [{ 'x-forwarded-host': 'localhost:3000', 'x-forwarded-proto': 'javascript' }, 'http://localhost:3000'],
])('else what the gateway says: %j', (headers, expected) => {
  expect(publicUrl(undefined, headers, fallback)).toBe(expected);
});

test.each([
  {},
  { 'x-forwarded-host': '' },
  { 'x-forwarded-host': 'a/b' },
  { 'x-forwarded-host': 'user@host' },
])('else the service itself: %j', (headers) => {
  expect(publicUrl(undefined, headers, fallback)).toBe(fallback);
});
