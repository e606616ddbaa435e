import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import type { Verdict } from '#libs/contracts';
import type { BrokerPort, GroupInfo, StoredMessage } from '#libs/messaging';
import { openDatabase } from '#libs/service-kit';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '#libs/service-kit/testing';
import { StockLedger } from '#libs/stock-ledger';
import { GiveVerdict } from './give-verdict.js';
import { ReadBooks } from './read-books.js';
import { ReadLog } from './read-log.js';
import { ReadStock } from './read-stock.js';
import type { Demand } from './snapshot.js';

const TYPE = 'tt0123456789';
const orderNo = (index: number): string => `0123456789-${String(index).padStart(16, '0')}`;
const paymentId = (index: number): string => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

let postgres: TestPostgres;
let redisServer: TestRedis;
let prisma: PrismaClient;
let admin: pg.Client;
let redis: Redis;
let stock: StockLedger;
/** The retained messages of each topic, partition 0. */
let topics: Record<string, StoredMessage[]>;
let groups: Partial<GroupInfo>[];
let verdict: (demand?: Demand) => Promise<Verdict>;

beforeAll(async () => {
  [postgres, redisServer] = await Promise.all([startPostgres(), startRedis()]);
  const logger = pino({ level: 'silent' });
  prisma = openDatabase(PrismaClient, { url: postgres.url('ops'), schema: 'ops', logger });
  admin = new pg.Client({ connectionString: postgres.adminUrl });
  await admin.connect();
  redis = new Redis(redisServer.url);
  stock = new StockLedger(redis);
  const give = new GiveVerdict(new ReadBooks(prisma), new ReadStock(redis), new ReadLog(broker, prisma));
  verdict = (demand) => give.execute(demand);
}, 60_000);
afterAll(async () => {
  redis?.disconnect();
  await admin?.end();
  await prisma?.$disconnect();
  await Promise.all([postgres?.stop(), redisServer?.stop()]);
});

/** The admin side of a broker, from the variables above. Reads in pages of two, so that paging is tested. */
const broker = {
  admin: {
    groups: () => Promise.resolve(groups),
    timers: () => Promise.resolve({ pending: 3, pastDue: 0, nextDueAtMs: undefined }),
    transactions: () => Promise.resolve({ pending: 0, parked: [] }),
    topics: () =>
      Promise.resolve(
        Object.entries(topics).map(([topic, messages]) => ({
          topic,
          partitions: [{ partition: 0, startOffset: 0, endOffset: messages.length }],
        })),
      ),
    read: (topic: string, _partition: number, offset: number) =>
      Promise.resolve(topics[topic]?.slice(offset, offset + 2) ?? []),
  },
} as unknown as BrokerPort;

const message = (topic: string, tag: string, key: string, offset: number): StoredMessage => ({
  id: `${topic}-${offset}`,
  topic,
  tag,
  key,
  partition: 0,
  offset,
  headers: {},
  body: Buffer.from('{}'),
  bornAtMs: 0,
  storedAtMs: 0,
  priority: 4,
});

/** Ten tickets: orders 0 to 6 are paid, 7 and 8 wait for payment, 9 was cancelled. */
beforeEach(async () => {
  await redis.flushdb();
  await admin.query(`
    TRUNCATE stock.ledger, stock.ticket_types, stock.sessions, stock.shows, "order".orders, payment.refunds,
      payment.payments, payment.provider_intents, payment.provider_webhooks, notification.deliveries;
    INSERT INTO stock.shows VALUES ('sh1', 'Show', 'Hall', now());
    INSERT INTO stock.sessions VALUES ('se1', 'sh1', now());
    INSERT INTO stock.ticket_types (id, session_id, name, price_minor, currency, quantity, sold, per_user_limit, sale_opens_at)
    VALUES ('${TYPE}', 'se1', 'Standing', 100, 'EUR', 10, 9, 1, now())`);
  for (let index = 0; index < 10; index += 1) await insertOrder(index);
  await stock.rebuild({
    ticketTypeId: TYPE,
    initial: 10,
    unitPriceMinor: 100,
    currency: 'EUR',
    perUserLimit: 1,
    saleOpensAtMs: 0,
    saleClosesAtMs: Number.MAX_SAFE_INTEGER,
    orders: Array.from({ length: 10 }, (_, index) => ({
      orderNo: orderNo(index),
      quantity: 1,
      buyerId: `b${index}`,
      standing: index < 9 ? ('sold' as const) : ('released' as const),
      atMs: Date.now(),
    })),
  });
  groups = [{ group: 'order.place', mode: 'shared', lag: 0, deadLetters: 0 }];
  topics = {
    order: Array.from({ length: 10 }, (_, index) => message('order', 'submitted', orderNo(index), index)),
  };
});

async function insertOrder(index: number): Promise<void> {
  const status = index < 7 ? 'PAID' : index < 9 ? 'PENDING_PAYMENT' : 'CANCELLED';
  const movements = {
    PAID: ['DEDUCT', 'CONFIRM'],
    PENDING_PAYMENT: ['DEDUCT'],
    CANCELLED: ['DEDUCT', 'ROLLBACK'],
  };
  await admin.query(
    `INSERT INTO "order".orders (order_no, buyer_id, ticket_type_id, quantity, total_minor, currency, status, payment_id, history, created_at, updated_at)
     VALUES ($1, $2, $3, 1, 100, 'EUR', $4, $5, '[]', now(), now())`,
    [orderNo(index), `b${index}`, TYPE, status, status === 'PAID' ? paymentId(index) : null],
  );
  for (const movement of movements[status]) {
    await admin.query(
      'INSERT INTO stock.ledger (order_no, ticket_type_id, buyer_id, movement, quantity) VALUES ($1, $2, $3, $4, 1)',
      [orderNo(index), TYPE, `b${index}`, movement],
    );
  }
  if (status !== 'PAID') return;
  await admin.query(
    `INSERT INTO payment.payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
     VALUES ($1, $2, $3, 100, 'EUR', 'SUCCEEDED', $4, now())`,
    [paymentId(index), orderNo(index), `b${index}`, `pi${index}`],
  );
  for (const channel of ['sms', 'email', 'push']) {
    await admin.query(
      `INSERT INTO notification.deliveries (id, subject_id, kind, channel, recipient, text, status)
       VALUES (gen_random_uuid(), $1, 'order-paid', $2, 'b', 't', 'SENT')`,
      [orderNo(index), channel],
    );
  }
}

const failing = async (demand?: Demand): Promise<string[]> =>
  (await verdict(demand)).checks.filter(({ ok }) => !ok).map(({ name }) => name);
const counter = (field: string, by: number) => () => redis.hincrby(`stock:{${TYPE}}:counter`, field, by);
const sql = (text: string) => () => admin.query(text);

describe('the verdict over real books', () => {
  test('holds when they agree', async () => {
    expect((await verdict()).checks.filter(({ ok }) => !ok)).toEqual([]);
  });

  const planted: [string, () => unknown, string[]][] = [
    ['a ticket that vanished from Redis', counter('free', -1), ['conservation']],
    [
      'a ticket sold in Redis only',
      async () => (await counter('free', -1)(), counter('sold', 1)()),
      ['conservation'],
    ],
    ['counters that are gone', () => redis.flushdb(), ['conservation']],
    ['a running total that lies', sql(`UPDATE stock.ticket_types SET sold = 8`), ['conservation']],
    [
      'an oversold ledger, which its own constraint would not have let happen',
      sql(`ALTER TABLE stock.ticket_types DROP CONSTRAINT ticket_types_not_oversold;
           UPDATE stock.ticket_types SET quantity = 8`),
      ['no-oversell', 'conservation'],
    ],
    [
      'a lost order row',
      sql(`DELETE FROM "order".orders WHERE order_no = '${orderNo(8)}'`),
      ['conservation', 'no-lost-order'],
    ],
    [
      'an accepted order that was never written',
      () => topics['order']?.push(message('order', 'submitted', orderNo(77), 10)),
      ['no-lost-order'],
    ],
    [
      'a rejected order',
      sql(`UPDATE "order".orders SET status = 'REJECTED' WHERE order_no = '${orderNo(9)}'`),
      ['no-lost-order'],
    ],
    [
      'money without a ticket',
      sql(`UPDATE payment.payments SET order_no = 'other' WHERE id = '${paymentId(3)}'`),
      ['money-equals-tickets'],
    ],
    [
      'a ticket without money',
      sql(`UPDATE payment.payments SET status = 'FAILED' WHERE id = '${paymentId(3)}'`),
      ['money-equals-tickets'],
    ],
    [
      'a ticket for another price',
      sql(`UPDATE payment.payments SET amount_minor = 1 WHERE id = '${paymentId(3)}'`),
      ['money-equals-tickets'],
    ],
    [
      'money that only the provider knows of',
      sql(`INSERT INTO payment.payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
             VALUES ('${paymentId(9)}', '${orderNo(9)}', 'b9', 100, 'EUR', 'PENDING', 'pi9', now());
           INSERT INTO payment.provider_intents (id, reference, amount_minor, currency, status)
             VALUES ('pi9', '${paymentId(9)}', 100, 'EUR', 'CAPTURED')`),
      ['money-equals-tickets'],
    ],
    [
      'a ticket whose money went back',
      sql(`INSERT INTO payment.refunds (id, payment_id, order_no, amount_minor, currency, reason, status, updated_at)
           VALUES (gen_random_uuid(), '${paymentId(3)}', '${orderNo(3)}', 100, 'EUR', 'x', 'SUCCEEDED', now())`),
      ['money-equals-tickets'],
    ],
    [
      'a confirmation that never came',
      sql(`DELETE FROM stock.ledger WHERE order_no = '${orderNo(3)}' AND movement = 'CONFIRM'`),
      ['effects-once'],
    ],
    [
      'a buyer who was told nothing by email',
      sql(
        `UPDATE notification.deliveries SET status = 'PENDING' WHERE subject_id = '${orderNo(3)}' AND channel = 'email'`,
      ),
      ['effects-once'],
    ],
    [
      'a cancelled order that kept its ticket',
      sql(`DELETE FROM stock.ledger WHERE order_no = '${orderNo(9)}' AND movement = 'ROLLBACK';
           UPDATE stock.ticket_types SET sold = 10`),
      ['conservation', 'effects-once'],
    ],
    [
      'a group that lags',
      () => (groups = [{ group: 'order.place', mode: 'shared', lag: 4, deadLetters: 0 }]),
      ['quiet'],
    ],
  ];
  test.each(planted)('finds %s', async (_defect, plant, checks) => {
    await plant();
    expect(await failing()).toEqual(checks);
  });

  test('waits for a payment whose provider has put off telling us', async () => {
    await admin.query(
      `INSERT INTO payment.payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
       VALUES ('${paymentId(8)}', '${orderNo(8)}', 'b8', 100, 'EUR', 'PENDING', 'pi8', now());
       INSERT INTO payment.provider_intents (id, reference, amount_minor, currency, status)
       VALUES ('pi8', '${paymentId(8)}', 100, 'EUR', 'CAPTURED');
       INSERT INTO payment.provider_webhooks (event_id, body, due_at)
       VALUES (gen_random_uuid(), '{"paymentId":"${paymentId(8)}"}', now() + interval '1 hour')`,
    );
    expect(await failing()).toEqual([]);
  });

  test('takes a finished refund for an answer to captured money', async () => {
    await admin.query(
      `UPDATE "order".orders SET status = 'REFUNDED', payment_id = '${paymentId(9)}' WHERE order_no = '${orderNo(9)}';
       INSERT INTO payment.payments (id, order_no, buyer_id, amount_minor, currency, status, intent_id, updated_at)
       VALUES ('${paymentId(9)}', '${orderNo(9)}', 'b9', 100, 'EUR', 'SUCCEEDED', 'pi9', now());
       INSERT INTO payment.refunds (id, payment_id, order_no, amount_minor, currency, reason, status, updated_at)
       VALUES (gen_random_uuid(), '${paymentId(9)}', '${orderNo(9)}', 100, 'EUR', 'sold-out', 'SUCCEEDED', now())`,
    );
    expect(await failing()).toEqual([]);
    await admin.query(`UPDATE payment.refunds SET status = 'REQUESTED'`);
    expect(await failing()).toEqual(['money-equals-tickets']);
  });

  test('excuses a rejected order when the ledger tells that Redis was put right', async () => {
    await admin.query(`UPDATE "order".orders SET status = 'REJECTED' WHERE order_no = '${orderNo(9)}'`);
    expect(await failing()).toEqual(['no-lost-order']);
    await admin.query(
      `INSERT INTO stock.ledger (order_no, ticket_type_id, buyer_id, movement, quantity) VALUES ('sync-1', '${TYPE}', '', 'SYNC', 9)`,
    );
    expect(await failing()).toEqual([]);
  });

  test('blames tickets left over, unless they came back after the last buyer was turned away', async () => {
    const demand = { ticketTypeId: TYPE, tickets: 50 };
    expect(await failing({ ...demand, lastSoldOutAtMs: undefined })).toEqual(['no-undersell']);
    expect(await failing({ ...demand, lastSoldOutAtMs: Date.now() + 60_000 })).toEqual(['no-undersell']);
    expect(await failing({ ...demand, lastSoldOutAtMs: Date.now() })).toEqual([]);
  });
});
