import { expect, test } from '@jest/globals';
import { DomainError } from '#libs/messaging';
import { toHttpProblem } from './translate.js';

test.each([
  ['an error that nobody expected', new Error('duplicate key in table payments of 10.0.0.7')],
  [
    'a failure that the service cannot explain',
    new DomainError('LEDGER_BROKEN', 'unknown', 'table ledger of 10.0.0.7 has 3 rows'),
  ],
])('of %s the caller learns nothing but where to find it in the log', (_what, error) => {
  const problem = toHttpProblem(error);
  expect(problem.status).toBe(500);
  expect(problem.message).toMatch(/logged under the correlation id/);
  expect(problem.cause).toBe(error);
});

test.each([
  ['invalid', 400],
  ['not-found', 404],
  ['conflict', 409],
  ['transient', 503],
] as const)('a failure of kind %s is %i, in its own words', (kind, status) => {
  const problem = toHttpProblem(new DomainError('A_CODE', kind, 'what the caller did'));
  expect(problem).toMatchObject({ status, code: 'A_CODE', message: 'what the caller did' });
});

test.each([
  [undefined, '1'],
  [1, '1'],
  [1_001, '2'],
  [30_000, '30'],
])('who may come back in %s ms is told %s seconds, never fewer', (retryAfterMs, seconds) => {
  const error = new DomainError('LATER', 'transient', 'not now', retryAfterMs);
  expect(toHttpProblem(error).headers).toEqual({ 'retry-after': seconds });
});
