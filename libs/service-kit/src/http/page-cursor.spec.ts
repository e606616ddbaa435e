import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { pageCursor } from './page-cursor.js';

const cursor = pageCursor(z.tuple([z.int().nonnegative(), z.string().max(40)]));

test('a cursor comes back as it was made', () => {
  const position: [number, string] = [1_763_683_200_123, 'sh-älteste'];
  expect(cursor.decode(cursor.encode(position))).toEqual(position);
});

test.each([
  '',
  'x',
  cursor.encode([-1, 'a']),
  cursor.encode([1, 'a'.repeat(41)]),
  'W10',
  // What no request may say in plain text is no better in here: Postgres would refuse it.
  cursor.encode([1, 'a\0']),
  cursor.encode([1, '\ud800']),
])('anything else is an invalid request: %p', (text) => {
  expect(() => cursor.decode(text)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
});
