import { describe, expect, test } from '@jest/globals';
import { isSignedWebhook, signWebhook } from './webhook-signature.js';

const secret = 'a secret';
const nowMs = 1_763_683_200_000;
const seconds = nowMs / 1000;
const rawBody = Buffer.from('{"eventId":"1"}');
const signature = signWebhook(secret, seconds, rawBody);
const genuine = { timestamp: String(seconds), signature, rawBody };

test('a genuine webhook is accepted', () => {
  expect(isSignedWebhook(secret, genuine, nowMs)).toBe(true);
});

test('the signature is the documented one', () => {
  expect(signWebhook('key', 1_700_000_000, '{}')).toBe(
    '9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae',
  );
});

test.each([-300, 300])('five minutes either way are tolerated: %i s', (offset) => {
  expect(isSignedWebhook(secret, genuine, nowMs + offset * 1000)).toBe(true);
});

describe('refused', () => {
  const forged: [string, Partial<typeof genuine>, number?][] = [
    ['another body', { rawBody: Buffer.from('{"eventId":"2"}') }],
    ['another timestamp', { timestamp: String(seconds + 1) }],
    ['another secret', { signature: signWebhook('other', seconds, rawBody) }],
    ['a short signature', { signature: signature.slice(2) }],
    ['not hex', { signature: 'z'.repeat(64) }],
    ['an empty signature', { signature: '' }],
    ['a timestamp that is no number', { timestamp: 'now' }],
    ['a signed but negative timestamp', { timestamp: '-1', signature: signWebhook(secret, -1, rawBody) }],
    ['too old', {}, nowMs + 300_001],
    ['too far ahead', {}, nowMs - 300_001],
  ];
  test.each(forged)('%s', (_name, change, at = nowMs) => {
    expect(isSignedWebhook(secret, { ...genuine, ...change }, at)).toBe(false);
  });
  test.each(['timestamp', 'signature'] as const)('without %s', (header) => {
    expect(isSignedWebhook(secret, { ...genuine, [header]: undefined }, nowMs)).toBe(false);
  });
});
