import { expect, test } from '@jest/globals';
import { decodeCursor, encodeCursor } from './page-cursor.js';

test('a cursor comes back as it was made', () => {
  const cursor = { createdAtMs: 1_763_683_200_123, orderNo: '0123456789-0123456789abcdef' };
  expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor);
});

test.each(['', 'x', encodeCursor({ createdAtMs: -1, orderNo: '0123456789-0123456789abcdef' }), 'W10'])(
  'anything else is an invalid request: %p',
  (text) => {
    expect(() => decodeCursor(text)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  },
);
