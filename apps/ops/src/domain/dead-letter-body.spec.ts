import { expect, it } from '@jest/globals';
import { readableBody } from './dead-letter-body.js';

it('shows JSON as a value', () => {
  expect(readableBody(Buffer.from('{"a":[1]}'))).toEqual({ bodyEncoding: 'json', body: { a: [1] } });
});

it('shows broken JSON as the text it is', () => {
  expect(readableBody(Buffer.from('{"a":'))).toEqual({ bodyEncoding: 'text', body: '{"a":' });
});

it('shows bytes as base64: not UTF-8, or with control characters', () => {
  expect(readableBody(Buffer.from([0xff, 0xfe]))).toEqual({ bodyEncoding: 'base64', body: '//4=' });
  expect(readableBody(Buffer.from([0x00]))).toEqual({ bodyEncoding: 'base64', body: 'AA==' });
});
