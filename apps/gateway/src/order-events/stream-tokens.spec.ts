import { describe, expect, test } from '@jest/globals';
import type { ServiceConfig } from '#libs/service-kit';
import { StreamTokens } from './stream-tokens.js';

const ORDER = '0123456789-0123456789abcdef';
const clock = { now: () => Date.UTC(2027, 0, 1) + clock.aheadMs, aheadMs: 0 };
const tokensUnder = (JWT_SECRET: string, ...JWT_SECRET_PREVIOUS: string[]): StreamTokens =>
  new StreamTokens(clock, { JWT_SECRET, JWT_SECRET_PREVIOUS } as ServiceConfig);
const refused = expect.objectContaining({ status: 401, code: 'UNAUTHENTICATED' });

describe('a token of a stream', () => {
  const { token } = tokensUnder('old').issue(ORDER, 'me');

  test('holds under a secret that was rotated for as long as that one is listed', () => {
    expect(tokensUnder('new', 'older', 'old').buyerOf(token, ORDER)).toBe('me');
    expect(() => tokensUnder('new', 'older').buyerOf(token, ORDER)).toThrow(refused);
  });

  test.each(['', '.*', '0123456789-0123456789abcdeg'])('opens no stream of %p', (orderNo) => {
    expect(() => tokensUnder('new', 'old').buyerOf(token, orderNo)).toThrow(refused);
  });

  test('ends after a minute, under whichever secret', () => {
    clock.aheadMs = 61_000;
    expect(() => tokensUnder('new', 'old').buyerOf(token, ORDER)).toThrow(refused);
    clock.aheadMs = 0;
  });
});
