import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GatewayUnderTest } from '../testing/gateway-under-test.js';

const SHOP = 'https://shop.example';

let open: GatewayUnderTest;
let closed: GatewayUnderTest;
beforeAll(async () => {
  open = await GatewayUnderTest.start({ CORS_ORIGINS: `${SHOP}, http://localhost:5173` });
  closed = await GatewayUnderTest.start();
}, 30_000);
afterAll(async () => {
  await open?.stop();
  await closed?.stop();
});

const preflight = (gateway: GatewayUnderTest, origin: string) =>
  gateway.call('OPTIONS', '/api/orders', {
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,idempotency-key',
    },
  });

test('a page of a named origin may order, read refusals and listen', async () => {
  const asked = await preflight(open, SHOP);
  expect(asked.status).toBe(204);
  expect(asked.headers.get('access-control-allow-origin')).toBe(SHOP);
  expect(asked.headers.get('access-control-allow-headers')).toContain('idempotency-key');
  expect(asked.headers.get('access-control-allow-credentials')).toBeNull();

  const headers = { origin: SHOP };
  const refused = await open.call('POST', '/api/orders', { headers });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('access-control-allow-origin')).toBe(SHOP);
  expect(refused.headers.get('access-control-expose-headers')).toContain('retry-after');

  const ticketTypeId = await open.ticketType(1);
  const { body } = await open.placeOrder('buyer', { ticketTypeId, quantity: 1 });
  const stream = await fetch(`${open.service.url}/api/orders/${String(body['orderNo'])}/events`, {
    headers: { ...headers, ...(await open.headersOf('buyer')) },
  });
  expect(stream.headers.get('access-control-allow-origin')).toBe(SHOP);
  await stream.body?.cancel();
});

test('a page of another origin may not, and none may without the setting', async () => {
  expect(
    (await preflight(open, 'https://evil.example')).headers.get('access-control-allow-origin'),
  ).toBeNull();
  const asked = await preflight(closed, SHOP);
  expect(asked.status).toBe(405);
  expect(asked.headers.get('access-control-allow-origin')).toBeNull();
});
