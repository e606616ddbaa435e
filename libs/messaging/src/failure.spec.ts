import { RpcException } from '@nestjs/microservices';
import { describe, expect, it } from '@jest/globals';
import {
  DomainError,
  MESSAGING_ERRORS,
  MessagingError,
  UnavailableError,
  type ErrorKind,
  type MessagingErrorCode,
} from './errors.js';
import { describeError, isUnavailable, kindOf, verdictOn } from './failure.js';
import { fixedInterval } from './retry.js';

const twice = fixedInterval({ attempts: 2, everyMs: 100 });
const failure = (kind: ErrorKind, retryAfterMs?: number): DomainError =>
  new DomainError('CODE', kind, 'detail', retryAfterMs);

describe('the verdict on a failed message', () => {
  it.each([
    ['invalid', { action: 'dead-letter', reason: 'rejected' }],
    ['conflict', { action: 'ack' }],
    ['not-found', { action: 'retry', delayMs: 100 }],
    ['transient', { action: 'retry', delayMs: 100 }],
    ['unknown', { action: 'retry', delayMs: 100 }],
  ] as const)('%s: %j', (kind, verdict) => {
    expect(verdictOn(failure(kind), 1, twice)).toEqual(verdict);
  });

  it('is dead letter after the last attempt', () => {
    const exhausted = { action: 'dead-letter', reason: 'retries-exhausted' };
    expect(verdictOn(failure('transient'), 2, twice)).toEqual(exhausted);
    expect(verdictOn(failure('not-found'), 7, twice)).toEqual(exhausted);
  });

  it('waits as long as the failure says it will last, and at least as long as the policy', () => {
    expect(verdictOn(failure('transient', 5_000), 1, twice)).toEqual({ action: 'retry', delayMs: 5_000 });
    expect(verdictOn(failure('transient', 5), 1, twice)).toEqual({ action: 'retry', delayMs: 100 });
  });
});

describe('what is away, so that a failure is no attempt,', () => {
  const AWAY = ['BROKER_UNAVAILABLE', 'REQUEST_TIMEOUT', 'BUFFER_FULL', 'STORAGE_FAILED', 'STORAGE_FULL'];

  it.each(Object.keys(MESSAGING_ERRORS) as MessagingErrorCode[])('by %s', (code) => {
    expect(isUnavailable(new MessagingError(code, 'x'))).toBe(AWAY.includes(code));
  });

  it('is what says so itself, and no failure that is merely transient', () => {
    expect(isUnavailable(new UnavailableError('AWAY', 'x'))).toBe(true);
    expect(isUnavailable(failure('transient'))).toBe(false);
    expect(isUnavailable(new Error('x'))).toBe(false);
  });
});

describe('the kind of an error', () => {
  it('is whatever carries one of the five, and unknown otherwise', () => {
    expect(kindOf({ kind: 'invalid' })).toBe('invalid');
    expect(kindOf(new MessagingError('BROKER_UNAVAILABLE', 'x'))).toBe('transient');
    expect(kindOf({ kind: 'toString' })).toBe('unknown');
    expect(kindOf(new RpcException('no'))).toBe('unknown');
    expect(kindOf(new Error('no'))).toBe('unknown');
    expect(kindOf(undefined)).toBe('unknown');
  });

  it('never acknowledges a conflict of messaging itself, since something was then not sent', () => {
    expect(kindOf(new MessagingError('TRANSACTION_CONFLICT', 'x'))).toBe('unknown');
  });
});

describe('the description of an error', () => {
  it('names what caused it', () => {
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const error = new DomainError('STORE_DOWN', 'transient', 'no store', undefined, { cause });
    expect(describeError(error)).toBe('DomainError: STORE_DOWN: no store ← Error: ECONNREFUSED: refused');
  });

  it('does not repeat a code that the message begins with', () => {
    expect(describeError(new MessagingError('CLOSED', 'bye'))).toBe('MessagingError: CLOSED: bye');
  });

  it('is bounded and never empty, also for what is no error', () => {
    expect(describeError(new Error('x'.repeat(5_000)))).toHaveLength(1_024);
    expect(describeError('text')).toBe('text');
    expect(describeError({ status: 'error', message: 'from Nest' })).toBe('from Nest');
    expect(describeError(undefined)).toBe('unknown error');
  });

  it('ends for an error that caused itself', () => {
    const error = new Error('loop');
    error.cause = error;
    expect(describeError(error)).toContain('loop');
  });
});
