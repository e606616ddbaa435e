import { expect, test } from '@jest/globals';
import { codeHashOf, identityKeysOf, laneOf, newCode, userIdOf } from './phone-identity.js';

const keys = identityKeysOf('a secret of at least thirty-two characters');

test('a phone is always the same user, with or without its plus', () => {
  expect(userIdOf('+491701234567', keys)).toBe(userIdOf('491701234567', keys));
  expect(userIdOf('+491701234567', keys)).toMatch(/^u[0-9a-f]{26}$/);
});

test('another phone, or another secret, is another user', () => {
  expect(userIdOf('+491701234568', keys)).not.toBe(userIdOf('+491701234567', keys));
  expect(userIdOf('+491701234567', identityKeysOf('another secret'))).not.toBe(
    userIdOf('+491701234567', keys),
  );
});

test('a phone seen from an address is told apart from every other, and tells neither', () => {
  const lane = laneOf('+491701234567', '192.0.2.7', keys);
  expect(lane).toMatch(/^[0-9a-f]{32}$/);
  expect(lane).toBe(laneOf('491701234567', '192.0.2.7', keys));
  expect(lane).not.toBe(laneOf('+491701234567', '192.0.2.8', keys));
  expect(lane).not.toBe(laneOf('+491701234568', '192.0.2.7', keys));
});

test('a code is six digits and only its hash for that phone is kept', () => {
  for (let n = 0; n < 200; n += 1) expect(newCode()).toMatch(/^\d{6}$/);
  expect(codeHashOf('+491701234567', '123456', keys)).not.toContain('123456');
  expect(codeHashOf('+491701234567', '123456', keys)).not.toBe(codeHashOf('+491701234568', '123456', keys));
});
