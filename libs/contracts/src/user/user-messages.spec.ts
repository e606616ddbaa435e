import { expect, test } from '@jest/globals';
import { CodeExpired, CodeRequested, UserRegistered } from './user-messages.js';

const phone = '+4915112345678';
const codeId = '0b7d9c1e-7c39-4a53-8d0f-0d3a4a6f5a11';
const at = '2026-11-21T10:00:00.000Z';

test('keys, which end up in logs and traces, do not tell a phone number', () => {
  const keys = [
    CodeRequested.key({ codeId, phone, code: '123456', expiresAt: at }),
    CodeExpired.key({ codeId, phone }),
    UserRegistered.key({ userId: 'u0123456789', phone, registeredAt: at }),
  ];
  expect(keys.filter((key) => key?.includes(phone))).toEqual([]);
});
