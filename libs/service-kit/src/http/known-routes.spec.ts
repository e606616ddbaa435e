import { describe, expect, test } from '@jest/globals';
import { KnownRoutes } from './known-routes.js';

function routes(): KnownRoutes {
  const known = new KnownRoutes();
  known.add('/api/orders', ['GET', 'HEAD']);
  known.add('/api/orders', ['POST']);
  known.add('/api/orders/:orderNo/cancel', ['POST']);
  known.add('/files/v1.0', ['GET']);
  known.add('/files/v1.0/*', ['GET']);
  known.add('/letters/:id', ['GET', 'DELETE']);
  known.add('/letters/redrive', ['POST']);
  known.add('/*', ['GET']);
  return known;
}

describe('a request that no route took', () => {
  test('is a 405 with every method that the path takes', () => {
    expect(routes().refusal('DELETE', '/api/orders?page=2')).toMatchObject({
      status: 405,
      code: 'METHOD_NOT_ALLOWED',
      headers: { allow: 'GET, HEAD, POST' },
    });
    expect(routes().refusal('GET', '/api/orders/abc/cancel')).toMatchObject({ status: 405 });
    // What is behind a catch-all only its owner knows.
    expect(routes().refusal('PUT', '/files/v1.0/a/b')).toMatchObject({ status: 404 });
  });

  test('is told the methods of the path with fewest parameters', () => {
    expect(routes().refusal('PUT', '/letters/redrive').headers).toEqual({ allow: 'POST' });
    expect(routes().refusal('PUT', '/letters/1').headers).toEqual({ allow: 'DELETE, GET' });
  });

  test('is a 404 where only a catch-all would match', () => {
    expect(routes().refusal('POST', '/api/nothing')).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    expect(routes().refusal('POST', '/api/orders/abc/cancel/again')).toMatchObject({ status: 404 });
    // A parameter is one segment.
    expect(routes().refusal('GET', '/api/orders/abc/def/cancel')).toMatchObject({ status: 404 });
  });

  test('takes a dot in a pattern for a dot', () => {
    expect(routes().refusal('PUT', '/files/v1.0')).toMatchObject({ status: 405 });
    expect(routes().refusal('PUT', '/files/v1x0')).toMatchObject({ status: 404 });
  });
});
