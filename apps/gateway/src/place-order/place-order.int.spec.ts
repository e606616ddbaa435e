import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { OrderSubmitted } from '#libs/contracts';
import { MessagingError } from '#libs/messaging';
import { GatewayUnderTest, type Answer } from '../testing/gateway-under-test.js';

const SUBMIT_TIMEOUT_MS = 2_000;

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({
    MAX_IN_FLIGHT_ORDERS: '50',
    SUBMIT_TIMEOUT_MS: String(SUBMIT_TIMEOUT_MS),
    HOLD_TIMEOUT_MS: '1000',
  });
}, 30_000);
afterAll(() => gateway?.stop());
beforeEach(() => {
  gateway.broker.sendMood = 'ok';
  gateway.broker.sent.length = 0;
  gateway.clock.aheadMs = 0;
});

const submitted = () => gateway.broker.sentOf(OrderSubmitted);
const code = ({ status, body }: Answer): [number, unknown] => [status, body['code']];

describe('an accepted order', () => {
  test('has a hold that outlives its way to the broker, however short holds are said to last', async () => {
    const answer = await gateway.placeOrder('buyer', {
      ticketTypeId: await gateway.ticketType(1),
      quantity: 1,
    });
    const { heldAtMs = NaN, expiresAtMs = NaN } =
      (await gateway.stock.hold(String(answer.body['orderNo']))) ?? {};
    expect(expiresAtMs - heldAtMs).toBe(4_000);
  });

  test('holds its tickets and is submitted with its price', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 3 });
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({ orderNo: expect.any(String), status: 'QUEUED', queuePosition: 1 });
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 7, held: 3 });
    const { orderNo } = answer.body as { orderNo: string };
    expect(submitted()).toHaveLength(1);
    expect(submitted()[0]?.payload).toMatchObject({
      orderNo,
      buyerId: 'buyer',
      totalMinor: 14_850,
      currency: 'EUR',
    });
    expect(submitted()[0]?.message).toMatchObject({ key: orderNo, id: `order-submitted:${orderNo}` });
  });

  test('has a number that no release may change, because a retry would become a second order', async () => {
    const ticketTypeId = 'tt0123456789';
    gateway.clock.aheadMs = Date.UTC(2026, 10, 26, 12) - Date.now();
    await gateway.stock.rebuild({
      ticketTypeId,
      initial: 2,
      unitPriceMinor: 1,
      currency: 'EUR',
      perUserLimit: 2,
      saleOpensAtMs: 0,
      saleClosesAtMs: Date.UTC(2199, 0),
      orders: [],
    });
    const { body } = await gateway.placeOrder('buyer-1', { ticketTypeId, quantity: 2 }, 'key-1');
    expect(body['orderNo']).toBe('0123456789-4gj61hhp1x4044ec');
  });

  test('carries the end of its sale, past which it cannot be paid', async () => {
    const closesAtMs = Date.now() + 60_000;
    const ticketTypeId = await gateway.ticketType(1, { closesAtMs });
    await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 });
    expect(submitted()[0]?.payload).toMatchObject({ saleEndsAt: new Date(closesAtMs).toISOString() });
  });

  test('learns how many are before it in the queue', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const positions: unknown[] = [];
    for (const buyer of ['first', 'second', 'third']) {
      positions.push((await gateway.placeOrder(buyer, { ticketTypeId, quantity: 1 })).body['queuePosition']);
    }
    expect(positions).toEqual([1, 2, 3]);
  });

  test.each([-3_600_000, 3_600_000])(
    'holds its tickets for as long as any other, with the clock of the gateway off by %s ms',
    async (aheadMs) => {
      const ticketTypeId = await gateway.ticketType(1);
      gateway.clock.aheadMs = aheadMs;
      const { body } = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, `off-by-${aheadMs}`);
      const { heldAtMs, expiresAtMs } = (await gateway.stock.hold(String(body['orderNo']))) ?? {};
      expect(Math.abs((heldAtMs ?? NaN) - Date.now())).toBeLessThan(30_000);
      expect(expiresAtMs).toBeGreaterThan(Date.now() + 1_000);
    },
  );
});

describe('the same key', () => {
  test('ten times at once is one hold and one order number', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const order = { ticketTypeId, quantity: 2 };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => gateway.placeOrder('buyer', order, 'ten-at-once')),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(202));
    expect(new Set(answers.map(({ body }) => body['orderNo'])).size).toBe(1);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 8, held: 2, accepted: 1 });
    // Re-sends carry one id, by which the broker tells that they are one message.
    expect(new Set(submitted().map(({ message }) => message.id)).size).toBe(1);
  });

  test('is answered without another message once the order service has claimed the hold', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const order = { ticketTypeId, quantity: 1 };
    const first = await gateway.placeOrder('buyer', order, 'claimed');
    await gateway.stock.claim(ticketTypeId, [String(first.body['orderNo'])]);
    const again = await gateway.placeOrder('buyer', order, 'claimed');
    expect(again.status).toBe(202);
    expect(again.body['orderNo']).toBe(first.body['orderNo']);
    expect(submitted()).toHaveLength(1);
  });

  test('with another body is refused, and no hold of it stays behind', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'reused');
    const others = await Promise.all(
      [2, 3, 3, 4].map((quantity) => gateway.placeOrder('buyer', { ticketTypeId, quantity }, 'reused')),
    );
    for (const other of others) expect(code(other)).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 9, held: 1 });
    expect(submitted()).toHaveLength(1);
  });

  test('is the same order across midnight, and a new one when a day has passed, whatever became of the first', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const order = { ticketTypeId, quantity: 1 };
    const at = (hours: number): void => {
      gateway.clock.aheadMs = Date.UTC(2026, 10, 26, hours) - Date.now();
    };
    const place = async (): Promise<unknown> => {
      const { status, body } = await gateway.placeOrder('buyer', order, 'daily');
      return status === 202 ? body['orderNo'] : body['code'];
    };
    at(23.9);
    const first = await place();
    at(24.1);
    expect(await place()).toBe(first);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: 1 });

    const buyer = { orderNo: String(first), quantity: 1, buyerId: 'buyer' };
    await gateway.stock.release(ticketTypeId, [buyer], 'rollback', gateway.clock.now());
    at(48.1);
    // What Redis has forgotten by then, as its own clock cannot be set.
    const keptMs = await gateway.redis.pttl('idem:{buyer}:daily');
    expect(keptMs).toBeGreaterThan(86_300_000);
    expect(keptMs).toBeLessThanOrEqual(86_400_000);
    await gateway.redis.del('idem:{buyer}:daily');
    const second = await place();
    expect(second).toMatch(/-/);
    expect(second).not.toBe(first);
    expect(await place()).toBe(second);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: 1 });
  });

  test('that a gateway of the version before has taken is the same order, in the middle of a rollout', async () => {
    const ticketTypeId = 'tt0123456789';
    const order = { ticketTypeId, buyerId: 'buyer-1', quantity: 2 };
    const orderNo = '0123456789-gzf4zk8rrjzqd4ax';
    const nowMs = gateway.clock.now();
    await gateway.redis.del(`stock:{${ticketTypeId}}:holds`, `stock:{${ticketTypeId}}:counter`);
    await gateway.stock.rebuild({
      ...{ ticketTypeId, initial: 4, unitPriceMinor: 1, currency: 'EUR', perUserLimit: 4 },
      ...{ saleOpensAtMs: 0, saleClosesAtMs: Date.UTC(2199, 0), orders: [] },
    });
    await gateway.stock.reserve({ ...order, orderNo, nowMs, holdTimeoutMs: 60_000 });
    const { held = 0 } = await gateway.counters(ticketTypeId);
    // With its key bound, and when it died before that.
    for (const bound of ['no', 'yes']) {
      await gateway.redis.del('idem:{buyer-1}:key-1');
      if (bound === 'yes') await gateway.redis.set('idem:{buyer-1}:key-1', orderNo);
      const answer = await gateway.placeOrder('buyer-1', { ticketTypeId, quantity: 2 }, 'key-1');
      expect(answer).toMatchObject({ status: 202, body: { orderNo } });
    }
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held });
  });

  test('of a refused request leaves nothing behind', async () => {
    const ticketTypeId = await gateway.ticketType(1);
    await gateway.placeOrder('lucky', { ticketTypeId, quantity: 1 }, 'lucky');
    const before = await gateway.redis.dbsize();
    const refused = await Promise.all(
      Array.from({ length: 20 }, (_, n) => gateway.placeOrder(`late-${n}`, { ticketTypeId, quantity: 1 })),
    );
    expect(new Set(refused.map(({ body }) => body['code']))).toEqual(new Set(['SOLD_OUT']));
    expect(await gateway.redis.dbsize()).toBe(before);
  });

  test('for two requests at once is that of one of them', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const answers = await Promise.all(
      [1, 2, 3, 4].map((quantity) => gateway.placeOrder('buyer', { ticketTypeId, quantity }, 'contested')),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 422, 422, 422]);
    const winner = answers.findIndex(({ status }) => status === 202) + 1;
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: winner });
    // And stays that one's, whoever asked last.
    const again = await gateway.placeOrder('buyer', { ticketTypeId, quantity: winner }, 'contested');
    expect(again.body['orderNo']).toBe(answers[winner - 1]?.body['orderNo']);
  });

  test('of two buyers has nothing in common', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const [one, other] = await Promise.all(
      ['one', 'other'].map((buyer) => gateway.placeOrder(buyer, { ticketTypeId, quantity: 1 }, 'theirs')),
    );
    expect([one?.status, other?.status]).toEqual([202, 202]);
    expect(one?.body['orderNo']).not.toBe(other?.body['orderNo']);
  });

  test('after its hold was reaped is told so, unless the order service knows the order', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const order = { ticketTypeId, quantity: 1 };
    const first = await gateway.placeOrder('buyer', order, 'reaped');
    const reapedAtMs = Date.now() + 86_000_000;
    await gateway.stock.reap(ticketTypeId, [String(first.body['orderNo'])], reapedAtMs, reapedAtMs);
    expect(code(await gateway.placeOrder('buyer', order, 'reaped'))).toEqual([409, 'HOLD_EXPIRED']);

    const { orderNo } = first.body as { orderNo: string };
    const view = {
      orderNo,
      status: 'CANCELLED',
      ticketTypeId,
      quantity: 1,
      totalMinor: 4_950,
      currency: 'EUR',
      history: [],
    };
    gateway.upstream.answer = () => ({ status: 200, json: view });
    expect(await gateway.placeOrder('buyer', order, 'reaped')).toMatchObject({
      status: 202,
      body: { orderNo },
    });
    gateway.upstream.answer = () => ({ status: 404, json: { code: 'ORDER_NOT_FOUND', detail: 'stub' } });
  });
});

describe('an order is refused', () => {
  test.each([
    ['without a key', { ticketTypeId: 'tt0123456789', quantity: 1 }, {}],
    ['with a key of spaces', { ticketTypeId: 'tt0123456789', quantity: 1 }, { 'idempotency-key': 'a b' }],
    ['for no tickets', { ticketTypeId: 'tt0123456789', quantity: 0 }, { 'idempotency-key': 'k' }],
    ['for half a ticket', { ticketTypeId: 'tt0123456789', quantity: 0.5 }, { 'idempotency-key': 'k' }],
    [
      'with an unknown field',
      { ticketTypeId: 'tt0123456789', quantity: 1, price: 1 },
      { 'idempotency-key': 'k' },
    ],
  ])('%s', async (_name, json, headers) => {
    expect(code(await gateway.call('POST', '/api/orders', { as: 'buyer', json, headers }))).toEqual([
      400,
      'INVALID_REQUEST',
    ]);
  });

  test('for ticket types that do not exist, whatever their form', async () => {
    for (const ticketTypeId of ['tt0000000000', 'no such form', 'tt}:counter']) {
      const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 });
      expect(code(answer)).toEqual([404, 'TICKET_TYPE_NOT_FOUND']);
    }
  });

  test('when sold out, over the limit, or before the sale', async () => {
    const soldOut = await gateway.ticketType(1);
    expect(code(await gateway.placeOrder('a', { ticketTypeId: soldOut, quantity: 2 }))).toEqual([
      409,
      'SOLD_OUT',
    ]);
    const limited = await gateway.ticketType(10, { limit: 2 });
    expect(code(await gateway.placeOrder('a', { ticketTypeId: limited, quantity: 3 }))).toEqual([
      409,
      'LIMIT_EXCEEDED',
    ]);
    const closed = await gateway.ticketType(10, { opensAtMs: Date.now() + 60_000 });
    expect(code(await gateway.placeOrder('a', { ticketTypeId: closed, quantity: 1 }))).toEqual([
      403,
      'SALE_NOT_OPEN',
    ]);
    const over = await gateway.ticketType(10, { closesAtMs: Date.now() - 1 });
    expect(code(await gateway.placeOrder('a', { ticketTypeId: over, quantity: 1 }))).toEqual([
      403,
      'SALE_NOT_OPEN',
    ]);
  });

  test('beyond a buyer’s limit, however many come at once', async () => {
    const ticketTypeId = await gateway.ticketType(100, { limit: 4 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => gateway.placeOrder('greedy', { ticketTypeId, quantity: 1 })),
    );
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(4);
    expect(answers.filter(({ body }) => body['code'] === 'LIMIT_EXCEEDED')).toHaveLength(16);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 96, held: 4 });
  });

  test('when more are in work than the bound, and taken again when they are done', async () => {
    // None ends before all 60 are there.
    const busy = await GatewayUnderTest.start({ MAX_IN_FLIGHT_ORDERS: '50', SUBMIT_TIMEOUT_MS: '60000' });
    try {
      const ticketTypeId = await busy.ticketType(1_000);
      busy.broker.sendMood = 'silent';
      const answers: Answer[] = [];
      const asked = Array.from({ length: 60 }, async (_, n) => {
        answers.push(await busy.placeOrder(`buyer-${n}`, { ticketTypeId, quantity: 1 }));
      });
      while (answers.length + busy.broker.unanswered.length < 60) await pause(5);
      expect(answers.map(({ body }) => body['code'])).toEqual(new Array(10).fill('OVERLOADED'));
      for (const end of busy.broker.unanswered) end(new MessagingError('REQUEST_TIMEOUT', 'scripted'));
      await Promise.all(asked);
      for (const answer of answers) expect(answer.headers.get('retry-after')).toBe('1');
      expect(answers.filter(({ body }) => body['code'] === 'SERVICE_UNAVAILABLE')).toHaveLength(50);
      const metrics = await busy.call('GET', '/metrics');
      expect(String(metrics.body['text'])).toMatch(/gateway_orders_shed_total\{[^}]*\} 10\n/);
      expect(String(metrics.body['text'])).toMatch(/gateway_orders_in_flight\{[^}]*\} 0\n/);
      await brokerIsBack(ticketTypeId, busy);
    } finally {
      await busy.stop();
    }
  });
});

describe('a broker that is away', () => {
  test('leaves the hold when nobody knows whether the order was stored, and the repeat gets through', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    const order = { ticketTypeId, quantity: 1 };
    gateway.broker.sendMood = 'away';
    expect(code(await gateway.placeOrder('buyer', order, 'unclear'))).toEqual([503, 'SERVICE_UNAVAILABLE']);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: 1 });
    // The gate is shut: nobody else takes a hold that could not be submitted.
    expect(code(await gateway.placeOrder('other', order))).toEqual([503, 'SERVICE_UNAVAILABLE']);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: 1 });

    await brokerIsBack(await gateway.ticketType(1));
    expect(await gateway.placeOrder('buyer', order, 'unclear')).toMatchObject({ status: 202 });
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ held: 1, accepted: 1 });
  });

  test('that answers probes and stores nothing costs one hold a try, and not one for every buyer', async () => {
    const ticketTypeId = await gateway.ticketType(30);
    const order = { ticketTypeId, quantity: 1 };
    gateway.broker.sendMood = 'stalled';
    await gateway.placeOrder('unlucky', order, 'unlucky');
    const held = async (): Promise<number> => (await gateway.counters(ticketTypeId)).held;
    while ((await held()) < 2) await gateway.placeOrder('next', order, 'next');
    const startedAtMs = performance.now();
    const others = await Promise.all(
      Array.from({ length: 20 }, (_, n) => gateway.placeOrder(`b${n}`, order)),
    );
    const tookMs = performance.now() - startedAtMs;
    expect(new Set(others.map(({ body }) => body['code']))).toEqual(new Set(['SERVICE_UNAVAILABLE']));
    // The broker has answered a probe again, or has not: a try lasts as long as it is waited for its receipt.
    const heldAfterAll = await held();
    expect(heldAfterAll).toBeLessThanOrEqual(3 + tookMs / SUBMIT_TIMEOUT_MS);

    await brokerIsBack(await gateway.ticketType(1));
    for (const buyer of ['unlucky', 'next']) {
      expect(await gateway.placeOrder(buyer, order, buyer)).toMatchObject({ status: 202 });
    }
    expect(await held()).toBe(heldAfterAll);
  });

  test('gives the hold back when the order was certainly not stored', async () => {
    const ticketTypeId = await gateway.ticketType(10);
    gateway.broker.sendMood = 'full';
    const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'full');
    expect(code(answer)).toEqual([503, 'OVERLOADED']);
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 10, held: 0 });
    await brokerIsBack(await gateway.ticketType(1));
    expect(await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'full')).toMatchObject({
      status: 202,
    });
  });
});

test('stock that is not verified since Redis started is not sold', async () => {
  const ticketTypeId = await gateway.ticketType(10);
  await gateway.redis.hset(`stock:{${ticketTypeId}}:counter`, 'epoch', 'an earlier run of Redis');
  const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 });
  expect(code(answer)).toEqual([503, 'STOCK_NOT_READY']);
  expect(answer.headers.get('retry-after')).toBe('1');
});

test('without Redis an order is refused for now, and taken when Redis is back and verified', async () => {
  const ticketTypeId = await gateway.ticketType(10);
  await gateway.redisServer.crash();
  const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'outage');
  expect(code(answer)).toEqual([503, 'SERVICE_UNAVAILABLE']);
  expect(answer.headers.get('retry-after')).toBe('1');
  await gateway.redisServer.restart();
  const reopened = await gateway.ticketType(10);
  const status = await accepted(() =>
    gateway.placeOrder('buyer', { ticketTypeId: reopened, quantity: 1 }, 'back'),
  );
  expect(status).toBe(202);
});

test('with a Redis that hangs an order is refused all the same, and not counted as in work for longer', async () => {
  const ticketTypeId = await gateway.ticketType(10);
  const resume = gateway.redisServer.hang();
  try {
    const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'hang');
    expect(code(answer)).toEqual([503, 'SERVICE_UNAVAILABLE']);
  } finally {
    resume();
  }
  expect(await accepted(() => gateway.placeOrder('buyer', { ticketTypeId, quantity: 1 }, 'hang'))).toBe(202);
}, 30_000);

test('when only the key cannot be bound the tickets go back, and the buyer is told to ask again', async () => {
  const ticketTypeId = await gateway.ticketType(10);
  await gateway.redis.call('ACL', 'SETUSER', 'default', '-set');
  try {
    const answer = await gateway.placeOrder('buyer', { ticketTypeId, quantity: 2 }, 'unbound');
    expect(code(answer)).toEqual([503, 'SERVICE_UNAVAILABLE']);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await gateway.counters(ticketTypeId)).toMatchObject({ free: 10, held: 0 });
  } finally {
    await gateway.redis.call('ACL', 'SETUSER', 'default', '+set');
  }
  expect(await gateway.placeOrder('buyer', { ticketTypeId, quantity: 2 }, 'unbound')).toMatchObject({
    status: 202,
  });
});

test('buyers who hang up do not stay counted as in work', async () => {
  const ticketTypeId = await gateway.ticketType(100);
  gateway.broker.sendMood = 'silent';
  const abort = new AbortController();
  const headers = { ...(await gateway.headersOf('hasty')), 'content-type': 'application/json' };
  const left = Array.from({ length: 10 }, (_, n) =>
    fetch(`${gateway.service.url}/api/orders`, {
      method: 'POST',
      headers: { ...headers, 'idempotency-key': `hasty-${n}` },
      body: JSON.stringify({ ticketTypeId, quantity: 1 }),
      signal: abort.signal,
    }).catch(() => 'left'),
  );
  while ((await gateway.counters(ticketTypeId)).held < 10);
  abort.abort();
  expect(new Set(await Promise.all(left))).toEqual(new Set(['left']));
  await brokerIsBack(await gateway.ticketType(1));
  const inFlight = async (): Promise<string> => String((await gateway.call('GET', '/metrics')).body['text']);
  const deadline = Date.now() + 15_000;
  while (!/gateway_orders_in_flight\{[^}]*\} 0\n/.test(await inFlight()) && Date.now() < deadline);
  expect(await inFlight()).toMatch(/gateway_orders_in_flight\{[^}]*\} 0\n/);
}, 30_000);

/** Waits until the gate is open again, as buyers would: by asking. */
async function brokerIsBack(ticketTypeId: string, at = gateway): Promise<void> {
  at.broker.sendMood = 'ok';
  const status = await accepted(() => at.placeOrder('prober', { ticketTypeId, quantity: 1 }));
  expect(status).toBe(202);
}

async function accepted(ask: () => Promise<Answer>): Promise<number> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { status } = await ask();
    if (status === 202 || Date.now() > deadline) return status;
    await pause(20);
  }
}
