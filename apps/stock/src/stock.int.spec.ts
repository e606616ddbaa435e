import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { BrokerServer, EmbeddedBroker } from '#libs/broker';
import {
  OrderCancelled,
  OrderCreated,
  OrderPaid,
  OrderSubmitted,
  ShowView,
  StockDeducted,
  TicketTypeId,
} from '#libs/contracts';
import { encodePayload, type BrokerPort, type MessageContract } from '#libs/messaging';
import { signToken, startService, type RunningService } from '#libs/service-kit';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '#libs/service-kit/testing';
import { orderNoFor, RedisStock, type StockCounters } from '#libs/redis-stock';
import { StockModule } from './stock.module.js';

const SECRET = 'a secret for the tests of stock, long enough';
const AT = '2026-11-21T10:00:00.000Z';
const STARTS_AT = new Date(Date.now() + 86_400_000).toISOString();

let postgres: TestPostgres;
let redisServer: TestRedis;
let redis: Redis;
let dir: string;
let broker: EmbeddedBroker;
let server: BrokerServer;
let port: BrokerPort;
let service: RunningService;
let stock: RedisStock;
const heard: { tag: string; orderNo: string | undefined; outcome: string | undefined }[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stampede-stock-'));
  [postgres, redisServer, broker] = await Promise.all([
    startPostgres(),
    startRedis(),
    EmbeddedBroker.open({ dir }),
  ]);
  server = await BrokerServer.listen(broker, { port: 0, token: 'token' });
  Object.assign(process.env, {
    NODE_ENV: 'test',
    LOG_LEVEL: 'silent',
    PORT: '0',
    DATABASE_URL: postgres.url('stock'),
    REDIS_URL: redisServer.url,
    BROKER_URL: `tcp://127.0.0.1:${server.address.port}`,
    BROKER_TOKEN: 'token',
    JWT_SECRET: SECRET,
    SEED_SHOWS: 'true',
    VERIFY_INTERVAL_MS: '50',
    REAP_INTERVAL_MS: '50',
  });
  service = await startService({ name: 'stock', module: StockModule });
  await service.consuming;
  redis = new Redis(redisServer.url);
  stock = new RedisStock(redis);
  port = broker.connect('spec');
  await port.subscribe({ group: 'spec.hear', topics: [{ topic: 'stock' }] }, async (batch) => {
    for (const delivery of batch) {
      const { orderNo, outcome } = JSON.parse(Buffer.from(delivery.message.body).toString()) as {
        orderNo?: string;
        outcome?: string;
      };
      heard.push({ tag: delivery.message.tag, orderNo, outcome });
      await delivery.ack();
    }
  });
}, 90_000);
afterAll(async () => {
  await service?.close();
  await port?.close();
  await server?.close();
  await broker?.close();
  redis?.disconnect();
  await Promise.all([postgres?.stop(), redisServer?.stop()]);
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
}, 30_000);

async function createShow(body: unknown, roles: string[] = ['admin']): Promise<Response> {
  const token = signToken({ sub: 'someone', roles, expiresInSeconds: 60 }, SECRET);
  return fetch(`${service.url}/api/admin/shows`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const newShow = (quantity: number) => ({
  title: 'Encore',
  venue: 'Hall',
  startsAt: STARTS_AT,
  sessions: [
    {
      startsAt: STARTS_AT,
      ticketTypes: [
        { name: 'Seat', priceMinor: 4_950, currency: 'EUR', quantity, perUserLimit: 4, saleOpensAt: AT },
      ],
    },
  ],
});

async function ticketType(quantity: number): Promise<string> {
  const show = ShowView.parse(await (await createShow(newShow(quantity))).json());
  return TicketTypeId.parse(show.sessions[0]?.ticketTypes[0]?.id);
}

/** What the gateway and the order service have done when an order exists. */
async function order(ticketTypeId: string, buyerId: string, quantity = 1) {
  const orderNo = orderNoFor({ buyerId, idempotencyKey: 'key', ticketTypeId, quantity }, 0);
  const hold = { orderNo, ticketTypeId, buyerId, quantity, nowMs: Date.parse(AT), holdTimeoutMs: 600_000 };
  expect(await stock.reserve(hold)).toMatchObject({ outcome: 'reserved', unitPriceMinor: 4_950 });
  expect(await stock.claim(ticketTypeId, [orderNo])).toEqual(['claimed']);
  return { orderNo, buyerId, ticketTypeId, quantity, totalMinor: quantity * 4_950, currency: 'EUR' };
}

async function publish<Payload>(
  contract: MessageContract<Payload>,
  ...payloads: NoInfer<Payload>[]
): Promise<void> {
  await port.send(
    payloads.map((payload) => ({
      topic: contract.topic,
      tag: contract.tag,
      key: contract.key(payload),
      body: encodePayload(payload),
    })),
  );
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const hasHeard = (tag: string, orderNo: string) => () =>
  heard.some((message) => message.tag === tag && message.orderNo === orderNo);

async function counters(
  ticketTypeId: string,
): Promise<Pick<StockCounters, 'free' | 'held' | 'sold'> | undefined> {
  const now = await stock.read(ticketTypeId);
  return now && { free: now.free, held: now.held, sold: now.sold };
}

describe('the stock service', () => {
  it('is ready with two seeded shows, which everyone may see', async () => {
    await until(async () => (await fetch(`${service.url}/health/ready`)).status === 200);
    const shows = ShowView.array().parse(await (await fetch(`${service.url}/api/shows`)).json());
    expect(shows.length).toBeGreaterThanOrEqual(2);
  });

  it('lets an admin, and nobody else, put a show on sale', async () => {
    expect((await createShow(newShow(5), [])).status).toBe(403);
    expect((await fetch(`${service.url}/api/admin/shows`, { method: 'POST' })).status).toBe(401);
    const wrong = await createShow({ ...newShow(5), extra: true });
    expect(wrong.status).toBe(400);
    expect(await wrong.json()).toMatchObject({ code: 'INVALID_REQUEST' });
    const created = await createShow(newShow(5));
    expect(created.status).toBe(201);
    const show = ShowView.parse(await created.json());
    expect(show).toMatchObject(newShow(5));
    const listed = ShowView.array().parse(await (await fetch(`${service.url}/api/shows`)).json());
    expect(listed).toContainEqual(show);
  });

  it('names the next page of shows in a Link header, until there is none', async () => {
    await createShow(newShow(5));
    const titles = new Set<string>();
    let path: string | undefined = '/api/shows?limit=1';
    for (let pages = 0; path !== undefined && pages < 20; pages++) {
      const answer: Response = await fetch(`${service.url}${path}`);
      const [show, ...others] = ShowView.array().parse(await answer.json());
      expect(others).toEqual([]);
      titles.add(show?.id ?? '');
      path = /^<([^>]*)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    expect(path).toBeUndefined();
    const all = ShowView.array().parse(await (await fetch(`${service.url}/api/shows`)).json());
    expect(titles).toEqual(new Set(all.map(({ id }) => id)));
    for (const wrong of ['limit=0', 'limit=201', 'cursor=W10']) {
      expect((await fetch(`${service.url}/api/shows?${wrong}`)).status).toBe(400);
    }
  });

  it.each([
    ['of the year 18', '0018-11-21T10:00:00.000Z'],
    ['of 2020', '2020-11-21T10:00:00.000Z'],
    ['of the year 9999', '9999-11-21T10:00:00.000Z'],
  ])('creates no show %s', async (_, startsAt) => {
    const show = newShow(5);
    const answer = await createShow({
      ...show,
      startsAt,
      sessions: show.sessions.map((session) => ({ ...session, startsAt })),
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('keeps an expired hold for as long as its order waits in the queue, and no other', async () => {
    const type = await ticketType(10);
    const reserve = async (buyerId: string, quantity: number, expiredMs: number): Promise<string> => {
      const orderNo = orderNoFor({ buyerId, idempotencyKey: 'key', ticketTypeId: type, quantity }, 0);
      const nowMs = Date.now() - expiredMs - 600_000;
      await stock.reserve({ orderNo, ticketTypeId: type, buyerId, quantity, nowMs, holdTimeoutMs: 600_000 });
      return orderNo;
    };
    const orderNo = await reserve('queued', 2, 1_000);
    await port.send([
      { topic: OrderSubmitted.topic, tag: OrderSubmitted.tag, key: orderNo, body: Buffer.from('{}') },
    ]);
    // The gateway died before it could send these.
    await reserve('unsent', 3, 660_000);
    await until(async () => (await counters(type))?.free === 8);
    expect((await stock.hold(orderNo))?.state).toBe('held');
    await port.subscribe({ group: 'order.place', topics: [{ topic: 'order' }] }, async (batch) => {
      // The order service, back after hours, takes the order; a hold that it does not claim is nobody's.
      for (const delivery of batch) await delivery.ack();
    });
    await until(async () => (await counters(type))?.free === 10);
  });

  it('takes orders from the queue into the ledger and Redis, through payment and cancellation', async () => {
    const type = await ticketType(10);
    const paid = await order(type, 'paid', 2);
    const cancelled = await order(type, 'cancelled', 3);
    await publish(
      OrderCreated,
      { ...paid, createdAt: AT, payBefore: AT },
      { ...cancelled, createdAt: AT, payBefore: AT },
    );
    await until(hasHeard(StockDeducted.tag, paid.orderNo));
    await until(hasHeard(StockDeducted.tag, cancelled.orderNo));
    expect(await counters(type)).toEqual({ free: 5, held: 0, sold: 5 });
    await publish(OrderPaid, {
      ...paid,
      paymentId: 'b3b1d4f0-5f5e-4d0b-9c39-3d2e8a3b7f10',
      paidAt: AT,
      reacquired: false,
    });
    await publish(OrderCancelled, { ...cancelled, reason: 'buyer', cancelledAt: AT });
    await until(hasHeard('confirm', paid.orderNo));
    await until(hasHeard('rollback', cancelled.orderNo));
    expect(await counters(type)).toEqual({ free: 8, held: 0, sold: 2 });
  });

  it('rebuilds a Redis that lost everything by itself', async () => {
    const type = await ticketType(10);
    const sold = await order(type, 'sold', 4);
    await publish(OrderCreated, { ...sold, createdAt: AT, payBefore: AT });
    await until(hasHeard(StockDeducted.tag, sold.orderNo));
    await redis.flushdb();
    await until(async () => (await counters(type)) !== undefined);
    expect(await counters(type)).toEqual({ free: 6, held: 0, sold: 4 });
  });
});
