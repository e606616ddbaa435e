import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OrderView, PlaceOrderResponse, ShowView } from '#libs/contracts';
import { signToken } from '#libs/service-kit';
import { CALLERS, FORWARDS, MATRIX, newShow, pathOf, type Answers, type Caller, type Row } from './matrix.js';
import { WholeShop } from './whole-shop.js';

const SECRET = 'a secret of thirty-two characters';

let shop: WholeShop;
let orders: { orderNo: string; cancelledOrderNo: string };

beforeAll(async () => {
  shop = await WholeShop.start(SECRET);
  const ticketTypeId = await ticketType();
  orders = { orderNo: await placed(ticketTypeId), cancelledOrderNo: await placed(ticketTypeId) };
}, 120_000);
afterAll(() => shop?.stop(), 30_000);

const gateway = (): string => shop.urls.get('gateway') ?? '';
const named = ({ service, method, url }: Pick<Row, 'service' | 'method' | 'url'>): string =>
  `${service} ${method} ${url}`;

function tokenOf(caller: Caller): string | undefined {
  const sign = (sub: string, roles: string[], secret = SECRET): string =>
    signToken({ sub, roles, expiresInSeconds: 600 }, secret);
  switch (caller) {
    case 'nobody':
      return undefined;
    case 'buyer':
    case 'another buyer':
      return sign(caller, []);
    case 'of a role that opens nothing':
      return sign('somebody', ['usher', 'Admin', 'administrator']);
    case 'with a forged token':
      return sign('buyer', ['admin', 'service'], `${SECRET}!`);
    default:
      return sign(`of ${caller}`, [caller]);
  }
}

async function ask(
  base: string,
  caller: Caller,
  request: { method: string; path: string } & Pick<Row, 'body' | 'headers'>,
): Promise<Response> {
  const token = tokenOf(caller);
  const { method, path, body, headers } = request;
  return fetch(`${base}${path}`, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** Those who may not come first: what they do must not have helped. */
async function answersAt(base: string, row: Row, method: string = row.method): Promise<Answers> {
  const answers: Partial<Record<Caller, number>> = {};
  const last = (caller: Caller): number => (row.answers[caller] < 400 ? 1 : 0);
  for (const caller of CALLERS.toSorted((one, other) => last(one) - last(other))) {
    const response = await ask(base, caller, { ...row, method, path: pathOf(row, orders) });
    answers[caller] = response.status;
    // A stream would go on.
    await response.body?.cancel();
  }
  return answers as Answers;
}

test('every route of every service has its row, and no row is of a route that is gone', () => {
  const rows = new Set(MATRIX.map(named));
  const routes = [...shop.routes].flatMap(([service, those]) =>
    [...those]
      .filter((route) => service !== 'gateway' || !FORWARDS.includes(route))
      .map((route) => `${service} ${route}`),
  );
  expect(routes.filter((route) => !rows.has(route))).toEqual([]);
  expect([...rows].filter((row) => !routes.includes(row))).toEqual([]);
  expect(FORWARDS.filter((route) => !shop.routes.get('gateway')?.has(route))).toEqual([]);
});

describe.each(MATRIX.map((row) => [named(row), row] as const))('%s', (_name, row) => {
  test('answers each caller as they may be answered', async () => {
    const base = shop.urls.get(row.service) ?? '';
    expect(await answersAt(base, row)).toEqual(row.answers);
    if (row.method === 'GET') expect(await answersAt(base, row, 'HEAD')).toEqual(row.answers);
  });

  if (row.service === 'gateway') return;
  test(`is ${row.edge} at the gateway`, async () => {
    if (row.edge === 'forwarded') return expect(await answersAt(gateway(), row)).toEqual(row.answers);
    const own = MATRIX.some((each) => named(each) === named({ ...row, service: 'gateway' }));
    expect(own).toBe(row.edge === 'answered' || row.url.startsWith('/health') || row.url === '/metrics');
    if (!own) expect(new Set(Object.values(await answersAt(gateway(), row)))).toEqual(new Set([404]));
  });
});

async function json<Body>(answer: Promise<Response>, status: number): Promise<Body> {
  const response = await answer;
  const text = await response.text();
  if (response.status !== status) throw new Error(`${response.status} instead of ${status}: ${text}`);
  return JSON.parse(text) as Body;
}

async function ticketType(): Promise<string> {
  const request = { method: 'POST', path: '/api/admin/shows', body: newShow() };
  const show = await json<ShowView>(ask(gateway(), 'admin', request), 201);
  return show.sessions[0]?.ticketTypes[0]?.id ?? '';
}

/** An order of the buyer that is written. */
async function placed(ticketTypeId: string): Promise<string> {
  const request = {
    ...{ method: 'POST', path: '/api/orders', body: { ticketTypeId, quantity: 1 } },
    headers: { 'idempotency-key': randomUUID() },
  };
  const { orderNo } = await json<PlaceOrderResponse>(ask(gateway(), 'buyer', request), 202);
  for (;;) {
    const path = `/api/orders/${orderNo}`;
    const order = await json<OrderView>(ask(gateway(), 'buyer', { method: 'GET', path }), 200);
    if (order.status === 'PENDING_PAYMENT') return orderNo;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
