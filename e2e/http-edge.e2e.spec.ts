import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { type Answer, type Problem } from './harness/client.js';
import { Shop } from './harness/shop.js';

describe('the HTTP edge', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open();
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  const key = (): Record<string, string> => ({ 'idempotency-key': randomUUID() });
  const order = { ticketTypeId: 'tt0000000000', quantity: 1 };

  const cases: [name: string, call: () => Promise<Answer<Problem>>, status: number, code: string][] = [
    ['an unknown route', () => shop.client.call('GET', '/api/nothing', { as: 'b' }), 404, 'NOT_FOUND'],
    [
      'a wrong method',
      () => shop.client.call('DELETE', '/api/orders', { as: 'b' }),
      405,
      'METHOD_NOT_ALLOWED',
    ],
    [
      'no token',
      () => shop.client.call('POST', '/api/orders', { body: order, headers: key() }),
      401,
      'UNAUTHENTICATED',
    ],
    [
      'a forged token',
      () =>
        shop.client.call('GET', '/api/orders', {
          headers: { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' },
        }),
      401,
      'UNAUTHENTICATED',
    ],
    [
      'no idempotency key',
      () => shop.client.call('POST', '/api/orders', { as: 'b', body: order }),
      400,
      'INVALID_REQUEST',
    ],
    [
      'broken JSON',
      () => shop.client.call('POST', '/api/orders', { as: 'b', body: '{"ticketTypeId":', headers: key() }),
      400,
      'INVALID_REQUEST',
    ],
    [
      'a quantity of zero',
      () =>
        shop.client.call('POST', '/api/orders', { as: 'b', body: { ...order, quantity: 0 }, headers: key() }),
      400,
      'INVALID_REQUEST',
    ],
    [
      'an unknown field',
      () =>
        shop.client.call('POST', '/api/orders', { as: 'b', body: { ...order, price: 1 }, headers: key() }),
      400,
      'INVALID_REQUEST',
    ],
    [
      'an unknown ticket type',
      () => shop.client.call('POST', '/api/orders', { as: 'b', body: order, headers: key() }),
      404,
      'TICKET_TYPE_NOT_FOUND',
    ],
    [
      'a body over 64 KiB',
      () =>
        shop.client.call('POST', '/api/orders', {
          as: 'b',
          body: { pad: 'x'.repeat(70_000) },
          headers: key(),
        }),
      413,
      'BODY_TOO_LARGE',
    ],
    [
      'an unknown content type',
      () =>
        shop.client.call('POST', '/api/orders', {
          as: 'b',
          body: '<order/>',
          headers: { ...key(), 'content-type': 'application/xml' },
        }),
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'an unknown order',
      () => shop.client.call('GET', '/api/orders/0000000000-0000000000000000', { as: 'b' }),
      404,
      'ORDER_NOT_FOUND',
    ],
    [
      'a buyer at the admin door',
      () => shop.client.call('GET', '/api/ops/groups', { as: 'b' }),
      403,
      'FORBIDDEN',
    ],
  ];
  it.each(cases)('answers %s with a problem', async (_name, call, status, code) => {
    const answer = await call();
    expect(answer.body).toMatchObject({ status, code });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
    expect(Object.keys(answer.body)).toEqual(
      expect.arrayContaining(['type', 'title', 'status', 'code', 'detail', 'correlationId']),
    );
  });

  it('sells nothing before the sale opens', async () => {
    const ticketTypeId = await shop.client.sell(5, { saleOpensAt: new Date(Date.now() + 3_600_000) });
    expect(await shop.client.placeOrder('b', ticketTypeId)).toMatchObject({
      status: 403,
      body: { code: 'SALE_NOT_OPEN' },
    });
  });

  it('tells its health and describes itself', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics', '/docs']) {
      expect({ path, status: (await shop.client.call('GET', path)).status }).toEqual({ path, status: 200 });
    }
  });

  it('signs a buyer in by a code sent to the phone', async () => {
    const { client } = shop;
    const phone = `+49151${Math.floor(1e7 + Math.random() * 8e7)}`;
    expect((await client.call('POST', '/api/auth/codes', { body: { phone } })).status).toBe(202);
    let code: string | undefined;
    const deadline = Date.now() + 10_000;
    while (code === undefined && Date.now() < deadline) {
      const { body } = await client.admin<{ items: { recipient: string; text: string }[] }>(
        'GET',
        `/api/ops/mailbox?channel=sms&to=${encodeURIComponent(phone)}`,
      );
      code = body.items[0]?.text.match(/\b\d{6}\b/)?.[0];
    }
    const wrong = code === '000000' ? '000001' : '000000';
    expect(await client.call('POST', '/api/auth/sessions', { body: { phone, code: wrong } })).toMatchObject({
      status: 401,
      body: { code: 'CODE_INVALID' },
    });
    const session = await client.call<{ token: string; userId: string }>('POST', '/api/auth/sessions', {
      body: { phone, code },
    });
    expect(session.status).toBe(201);
    const own = await client.call('GET', '/api/orders', {
      headers: { authorization: `Bearer ${session.body.token}` },
    });
    expect(own.status).toBe(200);
    expect((await client.call('POST', '/api/auth/sessions', { body: { phone, code } })).status).toBe(401);
  }, 30_000);
});
