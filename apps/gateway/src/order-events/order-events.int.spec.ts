import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { OrderCancelled, OrderCreated, OrderPaid } from '#libs/contracts';
import { authenticate, jwtSecretsOf, SERVICE_CONFIG, type ServiceConfig } from '#libs/service-kit';
import { GatewayUnderTest } from '../testing/gateway-under-test.js';

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({ MAX_EVENT_STREAMS: '3', MAX_EVENT_STREAMS_PER_USER: '2' });
}, 30_000);
afterAll(() => gateway?.stop());

const at = '2026-11-21T12:00:00.000Z';

async function queuedOrder(buyer: string) {
  const ticketTypeId = await gateway.ticketType(10);
  const { body } = await gateway.placeOrder(buyer, { ticketTypeId, quantity: 1 });
  const orderNo = String(body['orderNo']);
  return { orderNo, buyerId: buyer, ticketTypeId, quantity: 1, totalMinor: 4_950, currency: 'EUR' };
}

async function openStreams(): Promise<number> {
  const { body } = await gateway.call('GET', '/metrics');
  return Number(/gateway_event_streams\{[^}]*\} (\d+)/.exec(String(body['text']))?.[1]);
}

async function untilNoneIsOpen(): Promise<void> {
  const deadline = Date.now() + 15_000;
  while ((await openStreams()) > 0) {
    if (Date.now() > deadline) throw new Error(`${await openStreams()} streams are still open`);
  }
}

/** An open stream whose text grows; `ended` resolves when the server has closed it. */
class Stream {
  text = '';
  readonly ended: Promise<void>;

  private constructor(
    readonly response: Response,
    private readonly abort: AbortController,
  ) {
    this.ended = this.read();
  }

  static async open(orderNo: string, buyer: string, lastEventId?: string): Promise<Stream> {
    const headers = await gateway.headersOf(buyer);
    if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
    return Stream.at(`/api/orders/${orderNo}/events`, headers);
  }

  static async at(path: string, headers: Record<string, string> = {}): Promise<Stream> {
    const abort = new AbortController();
    const response = await fetch(gateway.service.url + path, { headers, signal: abort.signal });
    return new Stream(response, abort);
  }

  async until(part: string): Promise<void> {
    const deadline = Date.now() + 15_000;
    while (!this.text.includes(part)) {
      if (Date.now() > deadline) throw new Error(`no ${part} in ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  statuses(): string[] {
    return [...this.text.matchAll(/^id: \w+\nevent: status\ndata: (.*)$/gm)].map(
      ([, data]) => (JSON.parse(data ?? '') as { status: string }).status,
    );
  }

  close(): void {
    this.abort.abort();
  }

  private async read(): Promise<void> {
    try {
      for await (const chunk of this.response.body ?? [])
        this.text += Buffer.from(chunk as Uint8Array).toString();
    } catch {
      // Closed by this side.
    }
  }
}

describe('an event stream', () => {
  test('tells the present status, then each change once and in order, and ends with the final one', async () => {
    const order = await queuedOrder('buyer');
    const stream = await Stream.open(order.orderNo, 'buyer');
    expect(Object.fromEntries(stream.response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-correlation-id': expect.any(String),
    });
    await stream.until('QUEUED');
    const created = { ...order, createdAt: at, payBefore: at };
    await gateway.broker.deliver(OrderCreated, created);
    await gateway.broker.deliver(OrderCreated, created);
    const paymentId = '00000000-0000-4000-8000-000000000000';
    await gateway.broker.deliver(OrderPaid, { ...order, paymentId, paidAt: at, reacquired: false });
    await stream.ended;
    expect(stream.statuses()).toEqual(['QUEUED', 'PENDING_PAYMENT', 'PAID']);
    expect(stream.text).toContain(JSON.stringify({ orderNo: order.orderNo, status: 'PAID', at }));
  });

  test('hears of its own order only', async () => {
    const [mine, other] = [await queuedOrder('buyer'), await queuedOrder('buyer')];
    const stream = await Stream.open(mine.orderNo, 'buyer');
    await stream.until('QUEUED');
    await gateway.broker.deliver(OrderCancelled, { ...other, reason: 'buyer', cancelledAt: at });
    await gateway.broker.deliver(OrderCreated, { ...mine, createdAt: at, payBefore: at });
    await stream.until('PENDING_PAYMENT');
    expect(stream.statuses()).toEqual(['QUEUED', 'PENDING_PAYMENT']);
    stream.close();
    await stream.ended;
  });

  test('is a 404 for somebody else’s order', async () => {
    const order = await queuedOrder('buyer');
    const answer = await gateway.call('GET', `/api/orders/${order.orderNo}/events`, { as: 'somebody-else' });
    expect(answer).toMatchObject({ status: 404, body: { code: 'ORDER_NOT_FOUND' } });
  });

  test('beyond the bound is refused for now, and there is room again when one has closed', async () => {
    const orders = await Promise.all(['a', 'b', 'c', 'd'].map((buyer) => queuedOrder(buyer)));
    const open = (): Promise<Stream[]> =>
      Promise.all(orders.map(({ orderNo, buyerId }) => Stream.open(orderNo, buyerId)));
    const streams = await open();
    expect(streams.map(({ response }) => response.status).sort()).toEqual([200, 200, 200, 503]);
    for (const stream of streams) stream.close();
    await untilNoneIsOpen();
    const again = await open();
    expect(again.filter(({ response }) => response.status === 200)).toHaveLength(3);
    for (const stream of again) stream.close();
    await untilNoneIsOpen();
  });

  test('cannot be denied to others by one user who opens many', async () => {
    const [mine, theirs] = [await queuedOrder('greedy'), await queuedOrder('modest')];
    const streams = await Promise.all(Array.from({ length: 10 }, () => Stream.open(mine.orderNo, 'greedy')));
    expect(streams.filter(({ response }) => response.status === 200)).toHaveLength(2);
    expect(streams.filter(({ response }) => response.status === 429)).toHaveLength(8);
    const other = await Stream.open(theirs.orderNo, 'modest');
    expect(other.response.status).toBe(200);
    for (const stream of [...streams, other]) stream.close();
    await untilNoneIsOpen();
  });

  test('misses nothing that becomes known while the order is looked up', async () => {
    const order = await queuedOrder('buyer');
    const { orderNo } = order;
    await gateway.stock.claim(order.ticketTypeId, [orderNo]);
    const step = { status: 'PENDING_PAYMENT', at };
    gateway.upstream.answer = async () => {
      const paymentId = '00000000-0000-4000-8000-000000000000';
      await gateway.broker.deliver(OrderPaid, { ...order, paymentId, paidAt: at, reacquired: false });
      // What was read before that.
      return { status: 200, json: { ...order, status: step.status, history: [step] } };
    };
    const stream = await Stream.open(orderNo, 'buyer');
    await stream.until('"PAID"');
    await stream.ended;
    expect(stream.statuses()).toEqual(['PENDING_PAYMENT', 'PAID']);
    gateway.upstream.answer = () => ({ status: 404, json: {} });
    await untilNoneIsOpen();
  });

  test('whose client left before the order was found leaves nothing behind', async () => {
    const order = await queuedOrder('hasty');
    // Claimed: the order service is asked, which takes its time.
    await gateway.stock.claim(order.ticketTypeId, [order.orderNo]);
    const slow: { answerIt?: () => void } = {};
    const asked = new Promise<void>((resolve) => {
      gateway.upstream.answer = () => {
        resolve();
        return new Promise((answer) => (slow.answerIt = () => answer({ status: 404, json: {} })));
      };
    });
    const abort = new AbortController();
    const left = fetch(`${gateway.service.url}/api/orders/${order.orderNo}/events`, {
      headers: await gateway.headersOf('hasty'),
      signal: abort.signal,
    }).catch(() => 'left');
    await asked;
    abort.abort();
    expect(await left).toBe('left');
    // A whole round trip later the gateway has noticed.
    await gateway.call('GET', '/health/live');
    slow.answerIt?.();
    const after = await queuedOrder('after');
    const stream = await Stream.open(after.orderNo, 'after');
    await stream.until('QUEUED');
    stream.close();
    await untilNoneIsOpen();
  });

  test('whose client left while Redis was asked for the order leaves nothing behind either', async () => {
    const { orderNo } = await queuedOrder('hasty');
    const headers = await gateway.headersOf('hasty');
    // As often as this buyer may have streams.
    for (const each of ['one', 'another']) {
      const resume = gateway.redisServer.hang();
      try {
        const signal = AbortSignal.timeout(50);
        const left = fetch(`${gateway.service.url}/api/orders/${orderNo}/events`, { headers, signal });
        expect([each, await left.catch(() => 'left')]).toEqual([each, 'left']);
        // A whole round trip later the gateway has noticed.
        await gateway.call('GET', '/health/live');
      } finally {
        resume();
      }
      await gateway.redis.ping();
    }
    await queuedOrder('after');
    await untilNoneIsOpen();
    const stream = await Stream.open(orderNo, 'hasty');
    expect(stream.response.status).toBe(200);
    stream.close();
    await untilNoneIsOpen();
  });

  test('goes on behind the last event that was seen, and is not opened again behind the final one', async () => {
    const { orderNo, ticketTypeId } = await queuedOrder('buyer');
    await gateway.stock.claim(ticketTypeId, [orderNo]);
    const steps = (...statuses: string[]) => statuses.map((status) => ({ status, at }));
    const view = { orderNo, ticketTypeId, quantity: 1, totalMinor: 4_950, currency: 'EUR' };
    const history = steps('PENDING_PAYMENT', 'PAID', 'REFUNDING', 'REFUNDED');
    gateway.upstream.answer = () => ({ status: 200, json: { ...view, status: 'REFUNDED', history } });

    const missed = await Stream.open(orderNo, 'buyer', 'PAID');
    await missed.ended;
    expect(missed.statuses()).toEqual(['REFUNDING', 'REFUNDED']);
    const unknown = await Stream.open(orderNo, 'buyer', 'no id of ours');
    await unknown.ended;
    expect(unknown.statuses()).toEqual(['REFUNDED']);
    expect((await Stream.open(orderNo, 'buyer', 'REFUNDED')).response.status).toBe(204);

    gateway.upstream.answer = () => ({
      status: 200,
      json: { ...view, status: 'PAID', history: history.slice(0, 2) },
    });
    const paid = await Stream.open(orderNo, 'buyer', 'QUEUED');
    await paid.ended;
    expect(paid.statuses()).toEqual(['PENDING_PAYMENT', 'PAID']);
    gateway.upstream.answer = () => ({ status: 404, json: {} });
    await untilNoneIsOpen();
  });

  test('answers HEAD and ends', async () => {
    const { orderNo } = await queuedOrder('buyer');
    const answer = await gateway.call('HEAD', `/api/orders/${orderNo}/events`, { as: 'buyer' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch('text/event-stream');
    await untilNoneIsOpen();
  });

  describe('with a token of its own, as a browser opens it', () => {
    const tokenOf = async (orderNo: string, buyer: string): Promise<string> => {
      const answer = await gateway.call('POST', `/api/orders/${orderNo}/events/token`, { as: buyer });
      expect(answer.status).toBe(201);
      const leftMs = Date.parse(String(answer.body['expiresAt'])) - Date.now();
      expect(leftMs).toBeGreaterThan(50_000);
      expect(leftMs).toBeLessThanOrEqual(60_000);
      return String(answer.body['token']);
    };

    test('is opened without any header', async () => {
      const { orderNo } = await queuedOrder('buyer');
      const stream = await Stream.at(
        `/api/orders/${orderNo}/events?token=${await tokenOf(orderNo, 'buyer')}`,
      );
      await stream.until('QUEUED');
      stream.close();
      await untilNoneIsOpen();
    });

    test('goes on once the order is written, which the order service tells its buyer alone', async () => {
      const { orderNo, ticketTypeId } = await queuedOrder('buyer');
      const token = await tokenOf(orderNo, 'buyer');
      await gateway.stock.claim(ticketTypeId, [orderNo]);
      const secrets = jwtSecretsOf(gateway.service.app.get<ServiceConfig>(SERVICE_CONFIG));
      const order = { orderNo, ticketTypeId, quantity: 1, totalMinor: 4_950, currency: 'EUR' };
      gateway.upstream.answer = async ({ headers }) => {
        try {
          const { userId, roles } = await authenticate(headers.authorization, secrets);
          if (userId !== 'buyer' || roles.length > 0) return { status: 404, json: {} };
          return { status: 200, json: { ...order, status: 'PAID', history: [{ status: 'PAID', at }] } };
        } catch {
          return { status: 401, json: { code: 'UNAUTHENTICATED', detail: 'nobody' } };
        }
      };
      // Whatever else the request says of its sender.
      const others: Record<string, string>[] = [{}, await gateway.headersOf('somebody-else', ['admin'])];
      for (const headers of others) {
        const stream = await Stream.at(`/api/orders/${orderNo}/events?token=${token}`, headers);
        expect(stream.response.status).toBe(200);
        await stream.ended;
        expect(stream.statuses()).toEqual(['PAID']);
      }
      gateway.upstream.answer = () => ({ status: 404, json: {} });
      await untilNoneIsOpen();
    });

    test('is not opened for another order, after a minute, or by a bearer token; nor is the token a bearer', async () => {
      const [mine, other] = [await queuedOrder('buyer'), await queuedOrder('buyer')];
      const token = await tokenOf(mine.orderNo, 'buyer');
      const bearer = (await gateway.headersOf('buyer'))['authorization']?.slice('Bearer '.length);
      const unauthenticated = { status: 401, body: { code: 'UNAUTHENTICATED' } };
      for (const path of [
        `/api/orders/${other.orderNo}/events?token=${token}`,
        `/api/orders/${mine.orderNo}/events?token=${bearer}`,
        `/api/orders/${mine.orderNo}/events?token=`,
        `/api/orders/${mine.orderNo}/events`,
      ]) {
        expect(await gateway.call('GET', path)).toMatchObject(unauthenticated);
      }
      const headers = { authorization: `Bearer ${token}` };
      expect(await gateway.call('GET', `/api/orders/${mine.orderNo}`, { headers })).toMatchObject(
        unauthenticated,
      );
      gateway.clock.aheadMs = 61_000;
      const late = await gateway.call('GET', `/api/orders/${mine.orderNo}/events?token=${token}`);
      gateway.clock.aheadMs = 0;
      expect(late).toMatchObject(unauthenticated);
    });

    test('is not given to somebody else', async () => {
      const { orderNo } = await queuedOrder('buyer');
      const answer = await gateway.call('POST', `/api/orders/${orderNo}/events/token`, {
        as: 'somebody-else',
      });
      expect(answer).toMatchObject({ status: 404, body: { code: 'ORDER_NOT_FOUND' } });
    });
  });

  test('ends when the gateway shuts down', async () => {
    const order = await queuedOrder('buyer');
    const stream = await Stream.open(order.orderNo, 'buyer');
    await stream.until('QUEUED');
    await gateway.service.close();
    await stream.ended;
    expect(stream.text).toContain('QUEUED');
  });
});
