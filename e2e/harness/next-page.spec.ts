import { expect, test } from '@jest/globals';
import { nextPage } from './next-page.js';

test.each([
  ['</api/shows?limit=200&cursor=a>; rel="next"', '/api/shows?limit=200&cursor=a'],
  ['</first>; rel="first", </b,c>; title="more"; rel=next', '/b,c'],
  [['</first>; rel="first"', '</b>; rel="next"'], '/b'],
  ['</first>; rel="first"', undefined],
  ['', undefined],
  [null, undefined],
])('%j leads to %j', (link, path) => {
  expect(nextPage(link)).toBe(path);
});
