import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GatewayUnderTest } from '../testing/gateway-under-test.js';

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({ RATE_LIMIT_PER_USER: '2' });
  gateway.upstream.answer = () => ({ status: 200, json: { from: 'stub' } });
}, 30_000);
afterAll(() => gateway?.stop());

describe('a proxied request', () => {
  test.each([
    ['GET', '/api/shows'],
    ['POST', '/api/admin/shows'],
    ['GET', '/api/orders?limit=5&cursor=a%2Fb'],
    ['POST', '/api/orders/0123456789-0123456789abcdef/cancel'],
    ['POST', '/api/payments/webhook'],
    ['POST', '/api/provider/checkouts/1'],
    ['GET', '/api/ops/mailbox?to=a%40b.example'],
  ])('%s %s reaches its service as it came', async (method, path) => {
    const headers = await gateway.headersOf('buyer');
    const answer = await gateway.call(method, path, { headers });
    expect(answer).toMatchObject({ status: 200, body: { from: 'stub' } });
    expect(gateway.upstream.requests.at(-1)).toMatchObject({ method, url: path });
    expect(gateway.upstream.requests.at(-1)?.headers).toMatchObject({
      ...headers,
      'x-forwarded-host': new URL(gateway.service.url).host,
      'x-forwarded-proto': 'http',
      'x-correlation-id': answer.headers.get('x-correlation-id'),
    });
  });

  test('keeps its body byte for byte, because a signature covers the bytes', async () => {
    const raw = '{ "b" : 1.0,\t"a":"\\u00e9 \\u0000 \\ud83d", "b":2 }';
    await gateway.call('POST', '/api/payments/webhook', { raw });
    expect(String(gateway.upstream.requests.at(-1)?.body)).toBe(raw);
  });

  test('cannot claim to be forwarded from elsewhere', async () => {
    const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-for': '10.0.0.1' };
    await gateway.call('GET', '/api/shows', { headers });
    const seen = gateway.upstream.requests.at(-1)?.headers;
    expect(seen?.['x-forwarded-host']).not.toContain('evil');
    expect(seen?.['x-forwarded-for']).toBe('127.0.0.1');
  });

  test('that is too large or no JSON is refused at the edge', async () => {
    const before = gateway.upstream.requests.length;
    const large = await gateway.call('POST', '/api/payments/webhook', { json: { pad: 'x'.repeat(70_000) } });
    expect(large).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });
    const headers = { 'content-type': 'application/xml' };
    const xml = await gateway.call('POST', '/api/payments/webhook', { raw: '<a/>', headers });
    expect(xml).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } });
    expect(gateway.upstream.requests).toHaveLength(before);
  });

  test('to a service that is away is refused for now', async () => {
    const answer = await gateway.call('GET', '/api/ops/groups', { as: 'buyer' });
    expect(answer).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
  });
});

describe('what is not listed', () => {
  test.each(['/internal/payments', '/api/nothing', '/api/ops', '/api/shows/../../internal/payments'])(
    '%s does not exist',
    async (path) => {
      const answer = await gateway.call('GET', path, { as: 'buyer' });
      expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
      expect(answer.headers.get('content-type')).toMatch('application/problem+json');
    },
  );

  test.each([
    ['OPTIONS', '/api/ops/dead-letters/redrive', 'POST'],
    ['QUERY', '/api/ops/alerts', 'GET, HEAD'],
    ['QUERY', '/health/ready', 'GET, HEAD'],
    ['OPTIONS', '/api/admin/shows', 'POST'],
    ['OPTIONS', '/api/ops/mailbox', 'GET, HEAD'],
  ])('%s %s is answered with the methods that are there: %s', async (method, path, allow) => {
    const answer = await gateway.call(method, path, { as: 'buyer' });
    expect(answer).toMatchObject({ status: 405, body: { code: 'METHOD_NOT_ALLOWED' } });
    expect(answer.headers.get('allow')).toBe(allow);
  });

  test('is a wrong method where the path exists', async () => {
    const answer = await gateway.call('DELETE', '/api/orders', { as: 'buyer' });
    expect(answer).toMatchObject({ status: 405, body: { code: 'METHOD_NOT_ALLOWED' } });
  });
});

test('a user who buys too often is told when to come back, and nobody else is', async () => {
  const ticketTypeId = await gateway.ticketType(100);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => gateway.placeOrder('eager', { ticketTypeId, quantity: 1 })),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThanOrEqual(4);
  expect(refused[0]?.body['code']).toBe('RATE_LIMITED');
  expect(refused[0]?.headers.get('retry-after')).toBe('1');
  expect((await gateway.placeOrder('calm', { ticketTypeId, quantity: 1 })).status).toBe(202);
});

test('the index needs no token and leads on', async () => {
  expect(await gateway.call('GET', '/')).toMatchObject({
    status: 200,
    body: { docs: '/docs', shows: '/api/shows' },
  });
});
