import 'reflect-metadata';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedBroker } from '#libs/broker';
import {
  OrderCancelled,
  OrderCreated,
  OrderPage,
  OrderPaid,
  OrderSubmitted,
  OrderView,
  PaymentSucceeded,
} from '#libs/contracts';
import { BROKER_PORT, MessageBus, type BrokerPort } from '#libs/messaging';
import { serve, ServiceAdapter, signToken, type RunningService } from '#libs/service-kit';
import { newTicketTypeId, orderNoFor, RedisStock } from '#libs/redis-stock';
import {
  FaultProxy,
  isCommitted,
  startPostgres,
  startRedis,
} from '../../../libs/service-kit/src/testing/index.js';
import { OrderModule } from './order.module.js';

/** The service as it runs, on a real Postgres, Redis and broker: messages in, messages and HTTP out. */

const JWT_SECRET = 'a secret of the order specs, long enough';
/** Long enough for what others do with an order, and over when `unpaid` is looked at, by the last one. */
const PAYMENT_TIMEOUT_MS = 6_000;
const buyerId = 'buyer-1';

let service: RunningService;
let database: FaultProxy;
let broker: EmbeddedBroker;
let port: BrokerPort;
let bus: MessageBus;
let stock: RedisStock;
let url: string;
let ticketTypeId: string;
let token: string;
const cleanUp: (() => Promise<unknown>)[] = [];
/** Nobody pays it. */
let unpaid: OrderView;
const heard: { name: string; payload: { orderNo: string } }[] = [];

beforeAll(async () => {
  const [postgres, redis, dir] = await Promise.all([
    startPostgres(),
    startRedis(),
    mkdtemp(join(tmpdir(), 'stampede-order-')),
  ]);
  database = await FaultProxy.inFrontOf(postgres.url('order'));
  cleanUp.push(
    () => database.stop(),
    () => postgres.stop(),
    () => redis.stop(),
    () => rm(dir, { recursive: true, force: true }),
  );
  Object.assign(process.env, {
    DATABASE_URL: database.via(postgres.url('order')),
    REDIS_URL: redis.url,
    JWT_SECRET,
    PAYMENT_TIMEOUT_MS: String(PAYMENT_TIMEOUT_MS),
    LOG_LEVEL: 'silent',
    PORT: '0',
  });
  broker = await EmbeddedBroker.open({ dir, transactions: { firstCheckMs: 200, everyMs: 200 } });
  port = broker.connect('spec');
  const module = await Test.createTestingModule({ imports: [OrderModule] })
    .overrideProvider(BROKER_PORT)
    .useValue(broker.connect('order'))
    .compile();
  const app = module.createNestApplication<NestFastifyApplication>(new ServiceAdapter());
  service = await serve(app, 'order');
  await service.consuming;
  url = service.url;
  bus = app.get(MessageBus);
  stock = app.get(RedisStock);
  token = signToken({ sub: buyerId, roles: [], expiresInSeconds: 600 }, JWT_SECRET);
  await listen();
  ticketTypeId = newTicketTypeId();
  await stock.rebuild({
    ticketTypeId,
    initial: 100,
    unitPriceMinor: 5_000,
    currency: 'EUR',
    perUserLimit: 100,
    saleOpensAtMs: 0,
    saleClosesAtMs: Date.UTC(2199, 0),
    orders: [],
  });
  unpaid = await inStatus(await submit(), 'PENDING_PAYMENT');
}, 60_000);

afterAll(async () => {
  await service.close();
  await port.close();
  await broker.close();
  for (const clean of cleanUp) await clean();
}, 30_000);

async function listen(): Promise<void> {
  await port.subscribe({ group: 'spec', topics: [{ topic: 'order' }] }, async (batch) => {
    for (const delivered of batch) {
      const { topic, tag, body } = delivered.message;
      heard.push({
        name: `${topic}.${tag}`,
        payload: JSON.parse(Buffer.from(body).toString()) as { orderNo: string },
      });
      await delivered.ack();
    }
  });
}

async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const hear = (contract: { name: string }, orderNo: string): Promise<unknown> =>
  until(`${contract.name} of ${orderNo}`, () =>
    heard.find(({ name, payload }) => name === contract.name && payload.orderNo === orderNo),
  );

const call = (method: string, path: string, bearer = token): Promise<Response> =>
  fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${bearer}` } });

async function view(orderNo: string): Promise<OrderView | undefined> {
  const response = await call('GET', `/api/orders/${orderNo}`);
  return response.ok ? OrderView.parse(await response.json()) : undefined;
}

const inStatus = (orderNo: string, status: string): Promise<OrderView> =>
  until(`${orderNo} ${status}`, async () => {
    const order = await view(orderNo);
    return order?.status === status ? order : undefined;
  });

async function submit(): Promise<string> {
  const orderNo = orderNoFor({ buyerId, idempotencyKey: randomUUID(), ticketTypeId, quantity: 1 }, 0);
  await stock.reserve({
    orderNo,
    ticketTypeId,
    buyerId,
    quantity: 1,
    nowMs: Date.now(),
    holdTimeoutMs: 60_000,
  });
  await bus.send(OrderSubmitted, {
    orderNo,
    buyerId,
    ticketTypeId,
    quantity: 1,
    totalMinor: 5_000,
    currency: 'EUR',
    submittedAt: new Date().toISOString(),
  });
  return orderNo;
}

test('an accepted order is written, paid and seen by its buyer only', async () => {
  const orderNo = await submit();
  const pending = await inStatus(orderNo, 'PENDING_PAYMENT');
  expect(pending.payBefore).toBeDefined();
  const paymentId = randomUUID();
  await bus.send(PaymentSucceeded, {
    paymentId,
    orderNo,
    amountMinor: 5_000,
    currency: 'EUR',
    succeededAt: new Date().toISOString(),
  });
  const paid = await inStatus(orderNo, 'PAID');
  expect(paid.history.map(({ status }) => status)).toEqual(['QUEUED', 'PENDING_PAYMENT', 'PAID']);
  expect(paid.payBefore).toBeUndefined();
  await hear(OrderPaid, orderNo);

  const stranger = signToken({ sub: 'buyer-2', roles: [], expiresInSeconds: 600 }, JWT_SECRET);
  const answer = await call('GET', `/api/orders/${orderNo}`, stranger);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ code: 'ORDER_NOT_FOUND' });
  expect((await fetch(`${url}/api/orders/${orderNo}`)).status).toBe(401);
  expect((await call('POST', `/api/orders/${orderNo}/cancel`)).status).toBe(409);
});

test('a buyer cancels; the timer is taken back', async () => {
  const orderNo = await submit();
  await inStatus(orderNo, 'PENDING_PAYMENT');
  expect((await call('POST', `/api/orders/${orderNo}/cancel`)).status).toBe(202);
  expect((await call('POST', `/api/orders/${orderNo}/cancel`)).status).toBe(202);
  await hear(OrderCancelled, orderNo);
  expect(await bus.recall(`payment-timeout:${orderNo}`)).toBe(true);
});

test('when the database has committed and its answer is lost, everybody hears of it all the same, once', async () => {
  const written = database.swallowAnswersAfter('INSERT INTO orders', { isComplete: isCommitted });
  const orderNo = await submit();
  await written;
  await hear(OrderCreated, orderNo);
  await inStatus(orderNo, 'PENDING_PAYMENT');
  const changed = database.swallowAnswersAfter('UPDATE orders AS o', { isComplete: isCommitted });
  const unclear = await call('POST', `/api/orders/${orderNo}/cancel`);
  expect(unclear.status).toBe(503);
  expect(unclear.headers.get('retry-after')).toBe('1');
  expect(await unclear.json()).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  await changed;
  expect((await call('POST', `/api/orders/${orderNo}/cancel`)).status).toBe(202);
  await hear(OrderCancelled, orderNo);
  expect(heard.filter(({ payload }) => payload.orderNo === orderNo).map(({ name }) => name)).toEqual([
    'order.submitted',
    'order.created',
    'order.cancelled',
  ]);
});

test('a buyer pages through their orders, newest first, each once', async () => {
  const orderNos = await Promise.all(Array.from({ length: 5 }, submit));
  for (const orderNo of orderNos) await inStatus(orderNo, 'PENDING_PAYMENT');
  const seen: OrderView[] = [];
  let cursor: string | undefined;
  do {
    const after = cursor === undefined ? '' : `&cursor=${cursor}`;
    const page: OrderPage = OrderPage.parse(await (await call('GET', `/api/orders?limit=2${after}`)).json());
    expect(page.items.length).toBeLessThanOrEqual(2);
    seen.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(new Set(seen.map(({ orderNo }) => orderNo)).size).toBe(seen.length);
  expect(seen.map(({ orderNo }) => orderNo)).toEqual(expect.arrayContaining(orderNos));
  const written = seen.map(({ history }) => history[1]?.at ?? '');
  expect(written).toEqual(written.toSorted().toReversed());
  const other = signToken({ sub: 'another buyer', roles: [], expiresInSeconds: 60 }, JWT_SECRET);
  expect(await (await call('GET', '/api/orders', other)).json()).toEqual({ items: [] });
  expect((await call('GET', '/api/orders?cursor=nonsense')).status).toBe(400);
  expect((await call('GET', '/api/orders?limit=0')).status).toBe(400);
});

test('an unpaid order is cancelled when its time is over, not before', async () => {
  const cancelled = await inStatus(unpaid.orderNo, 'CANCELLED');
  await hear(OrderCancelled, unpaid.orderNo);
  const at = Date.parse(cancelled.history.at(-1)?.at ?? '');
  expect(at).toBeGreaterThanOrEqual(Date.parse(unpaid.payBefore ?? ''));
}, 40_000);
