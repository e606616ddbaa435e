import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OrderView } from '#libs/contracts';
import { GatewayUnderTest } from '../testing/gateway-under-test.js';

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start();
}, 30_000);
afterAll(() => gateway?.stop());

const unknown = { status: 404, json: { code: 'ORDER_NOT_FOUND', detail: 'stub' } };

async function queuedOrder(buyer: string): Promise<{ orderNo: string; ticketTypeId: string }> {
  const ticketTypeId = await gateway.ticketType(10);
  const { body } = await gateway.placeOrder(buyer, { ticketTypeId, quantity: 2 });
  return { orderNo: String(body['orderNo']), ticketTypeId };
}

describe('a queued order', () => {
  test('is read from its hold, without asking the order service', async () => {
    const { orderNo, ticketTypeId } = await queuedOrder('buyer');
    gateway.upstream.requests.length = 0;
    const { status, body } = await gateway.call('GET', `/api/orders/${orderNo}`, { as: 'buyer' });
    expect(status).toBe(200);
    expect(body).toEqual({
      orderNo,
      status: 'QUEUED',
      ticketTypeId,
      quantity: 2,
      totalMinor: 9_900,
      currency: 'EUR',
      queuePosition: 1,
      history: [{ status: 'QUEUED', at: expect.stringMatching(/Z$/) }],
    });
    expect(gateway.upstream.requests).toHaveLength(0);
  });

  test('stays queued between its claim and its row', async () => {
    const { orderNo, ticketTypeId } = await queuedOrder('buyer');
    await gateway.stock.claim(ticketTypeId, [orderNo]);
    gateway.upstream.answer = () => unknown;
    const { body } = await gateway.call('GET', `/api/orders/${orderNo}`, { as: 'buyer' });
    expect(body).toMatchObject({ status: 'QUEUED', queuePosition: 0 });
  });

  test('does not exist for anybody else', async () => {
    const { orderNo } = await queuedOrder('buyer');
    const answer = await gateway.call('GET', `/api/orders/${orderNo}`, { as: 'somebody-else' });
    expect(answer).toMatchObject({ status: 404, body: { code: 'ORDER_NOT_FOUND' } });
  });
});

describe('a written order', () => {
  let view: OrderView;
  beforeAll(async () => {
    const { orderNo, ticketTypeId } = await queuedOrder('buyer');
    await gateway.stock.claim(ticketTypeId, [orderNo]);
    view = {
      orderNo,
      status: 'PENDING_PAYMENT',
      ticketTypeId,
      quantity: 2,
      totalMinor: 9_900,
      currency: 'EUR',
      payBefore: '2026-11-21T12:30:00.000Z',
      history: [{ status: 'PENDING_PAYMENT', at: '2026-11-21T12:00:00.000Z' }],
    };
  });

  test('is the order service’s answer to the caller’s own token', async () => {
    gateway.upstream.answer = () => ({ status: 200, json: view });
    const headers = { 'x-correlation-id': 'asked-by-a-test' };
    const { body } = await gateway.call('GET', `/api/orders/${view.orderNo}`, { as: 'buyer', headers });
    expect(body).toEqual(view);
    expect(gateway.upstream.requests.at(-1)).toMatchObject({
      url: `/api/orders/${view.orderNo}`,
      headers: { ...(await gateway.headersOf('buyer')), ...headers },
    });
  });

  test('is paid through the payment service, by the gateway’s own token, back to the host the buyer came by', async () => {
    const payment = {
      paymentId: '00000000-0000-4000-8000-000000000000',
      checkoutUrl: 'http://shop.example/api/provider/checkouts/1',
      status: 'PENDING',
    };
    gateway.upstream.answer = ({ method }) =>
      method === 'GET' ? { status: 200, json: view } : { status: 201, json: payment };
    const answer = await gateway.call('POST', `/api/orders/${view.orderNo}/payments`, { as: 'buyer' });
    expect(answer).toMatchObject({ status: 201, body: payment });
    const asked = gateway.upstream.requests.at(-1);
    expect(asked).toMatchObject({ method: 'POST', url: '/internal/payments' });
    expect(JSON.parse(String(asked?.body))).toEqual({
      orderNo: view.orderNo,
      buyerId: 'buyer',
      amountMinor: 9_900,
      currency: 'EUR',
    });
    expect(asked?.headers['x-forwarded-host']).toBe(new URL(gateway.service.url).host);
    expect(asked?.headers.authorization).not.toBe((await gateway.headersOf('buyer'))['authorization']);
  });

  test.each(['QUEUED', 'PAID', 'CANCELLED', 'REJECTED'] as const)(
    'cannot be paid when it is %s',
    async (status) => {
      gateway.upstream.answer = () => ({ status: 200, json: { ...view, status } });
      const answer = await gateway.call('POST', `/api/orders/${view.orderNo}/payments`, { as: 'buyer' });
      expect(answer).toMatchObject({ status: 409, body: { code: 'ORDER_NOT_PAYABLE' } });
    },
  );
});

test('what is no order number is no order', async () => {
  for (const orderNo of ['1', '%2e%2e', 'tt0123456789-x', "'; DROP TABLE orders"]) {
    const answer = await gateway.call('GET', `/api/orders/${encodeURIComponent(orderNo)}`, { as: 'buyer' });
    expect(answer).toMatchObject({ status: 404, body: { code: 'ORDER_NOT_FOUND' } });
  }
});

test('while Redis is away nobody is told that an order does not exist: it may be queued', async () => {
  const { orderNo } = await queuedOrder('buyer');
  gateway.upstream.answer = () => unknown;
  await gateway.redisServer.crash();
  try {
    const answer = await gateway.call('GET', `/api/orders/${orderNo}`, { as: 'buyer' });
    expect(answer).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
  } finally {
    await gateway.redisServer.restart();
  }
});
