import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { phoneOf } from './phone.js';

describe('one phone, however it is typed', () => {
  test.each([
    '+491701234567',
    '491701234567',
    '0170 1234567',
    '01701234567',
    '1701234567',
    '0170-123.45/67',
    '(0170) 1234567',
    '0049 170 1234567',
    '+49 (0) 170 1234567',
    '+4901701234567',
    '＋４９ １７０ １２３４５６７',
    '０１７０１２３４５６７',
    '٠١٧٠١٢٣٤٥٦٧',
    '\u202a+49\u00a0170\u00a01234567\u202c',
    '  +491701234567\n',
  ])('%p', (typed) => {
    expect(phoneOf(typed, 'DE')).toMatchObject({ e164: '+491701234567', country: 'DE' });
  });

  test.each([
    ['212-555-0123', 'US', '+12125550123'],
    ['1 (212) 555-0123', 'US', '+12125550123'],
    ['4582345678', 'US', '+14582345678'],
    ['8613800138000', 'DE', '+8613800138000'],
    ['138 0013 8000', 'CN', '+8613800138000'],
    ['06 12 34 56 78', 'FR', '+33612345678'],
    ['345 678 9012', 'IT', '+393456789012'],
    ['+39 06 12345678', 'DE', '+390612345678'],
    // Of no assigned area, but of the right length.
    ['+1 555 123 4567', 'DE', '+15551234567'],
  ] as const)('%p in %s', (typed, region, e164) => {
    expect(phoneOf(typed, region).e164).toBe(e164);
  });

  test('what was read once is read alike ever after', () => {
    const typed = fc.stringMatching(/^(\+|00|0|)[1-9][0-9 ()/-]{4,16}$/);
    fc.assert(
      fc.property(typed, fc.constantFrom('DE', 'US', 'IT', 'CN'), (text, region) => {
        let e164: string;
        try {
          ({ e164 } = phoneOf(text, region));
        } catch {
          return; // Not a number: nothing to read again.
        }
        expect(e164).toMatch(/^\+[1-9]\d{5,14}$/);
        expect(phoneOf(e164, region).e164).toBe(e164);
        expect(phoneOf(e164, 'FR').e164).toBe(e164);
      }),
    );
  });
});

test.each([
  '',
  'me',
  '+',
  '+49170',
  '+999123456',
  '123',
  '+4917012345678901',
  '01701234567 ext. 5',
  'call 01701234567',
  '+49170123456789012345',
])('%p is no phone', (typed) => {
  expect(() => phoneOf(typed, 'DE')).toThrow(
    expect.objectContaining({ code: 'INVALID_REQUEST', kind: 'invalid' }),
  );
});

describe('earlier spellings of a phone', () => {
  test('are those under which it was taken as it came, the typed one first', () => {
    const all = ['491701234567', '00491701234567', '4901701234567', '01701234567'];
    expect(phoneOf('+491701234567', 'DE').spellings).toEqual(all);
    expect(phoneOf('0170 1234567', 'DE').spellings).toEqual(all);
    expect(phoneOf('01701234567', 'DE').spellings).toEqual(['01701234567', ...all.slice(0, 3)]);
  });

  test('are never the digits of somebody else: none without the country code but in its own country, after a 0', () => {
    expect(phoneOf('+491701234567', 'FR').spellings).toEqual([
      '491701234567',
      '00491701234567',
      '4901701234567',
    ]);
    // 212 555 0123 is, with a plus, in Morocco.
    expect(phoneOf('2125550123', 'US').spellings).toEqual(['12125550123', '0012125550123']);
  });
});
