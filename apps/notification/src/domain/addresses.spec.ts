import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { commandIdOf, emailOf, mailMessageIdOf } from './addresses.js';

test('a buyer id that can be a local part is one', () => {
  expect(emailOf('buyer-17')).toBe('buyer-17@buyers.stampede.example');
});

test('any other buyer id becomes an address all the same, and cannot smuggle in another recipient', () => {
  for (const id of [
    'a@b.example',
    'a b',
    'a..b',
    '.a',
    'ä',
    'x'.repeat(65),
    'a\r\nBcc: c@d.example',
    'Buyer',
  ]) {
    expect(emailOf(id)).toMatch(/^b-[0-9a-f]{40}@buyers\.stampede\.example$/);
  }
});

test('two buyers never share an address', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
      expect(emailOf(one) === emailOf(other)).toBe(one === other);
    }),
  );
});

test('ids depend on nothing but what the notification is about', () => {
  expect(commandIdOf('0123456789-0123456789abcdef', 'order-paid', 'sms')).toBe(
    'sms:order-paid:0123456789-0123456789abcdef',
  );
  expect(mailMessageIdOf('0123456789-0123456789abcdef', 'order-paid')).toBe(
    '<order-paid.0123456789-0123456789abcdef@notifications.stampede.example>',
  );
  expect(mailMessageIdOf('a>\r\nb', 'order-paid')).toMatch(/^<order-paid\.[0-9a-f]{40}@/);
});
