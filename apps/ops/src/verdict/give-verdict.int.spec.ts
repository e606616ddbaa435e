import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import type { Verdict } from '#libs/contracts';
import { openDatabase } from '#libs/service-kit';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '#libs/service-kit/testing';
import { GiveVerdict } from './give-verdict.js';
import { ReadBooks } from './read-books.js';
import { ReadLog } from './read-log.js';
import { ReadStock } from './read-stock.js';
import type { Demand } from './rules/stock-rules.js';
import { logOf, QUIET, scriptedBroker, type ScriptedState } from './testing/scripted-broker.js';
import { orderNo, paymentId, SoundShop, TYPE } from './testing/sound-shop.js';

let postgres: TestPostgres;
let redisServer: TestRedis;
let prisma: PrismaClient;
let admin: pg.Client;
let redis: Redis;
let shop: SoundShop;
const broker: ScriptedState = { ...QUIET, log: [] };
let verdict: (demand?: Demand) => Promise<Verdict>;

beforeAll(async () => {
  [postgres, redisServer] = await Promise.all([startPostgres(), startRedis()]);
  const logger = pino({ level: 'silent' });
  prisma = openDatabase(PrismaClient, { url: postgres.url('ops'), schema: 'ops', logger });
  admin = new pg.Client({ connectionString: postgres.adminUrl });
  await admin.connect();
  redis = new Redis(redisServer.url);
  shop = new SoundShop(admin, redis);
  const log = new ReadLog(scriptedBroker(broker), prisma);
  const give = new GiveVerdict(new ReadBooks(prisma), new ReadStock(redis, prisma), log);
  verdict = (demand) => give.execute(demand);
}, 60_000);
afterAll(async () => {
  redis?.disconnect();
  await admin?.end();
  await prisma?.$disconnect();
  await Promise.all([postgres?.stop(), redisServer?.stop()]);
});

beforeEach(async () => {
  await shop.open();
  Object.assign(broker, QUIET, { log: logOf(10) });
});

/** Every broken rule, as `check/rule`. */
const broken = async (demand?: Demand): Promise<string[]> =>
  (await verdict(demand)).checks.flatMap(({ name, findings = [] }) =>
    findings.map(({ rule }) => `${name}/${rule}`),
  );
const sql = (text: string) => () => admin.query(text);
const hold = (index: number, value: string) => () => shop.setHold(index, value);
const count = (fields: Record<string, number>) => () => shop.count(fields);
const all =
  (...plants: (() => unknown)[]) =>
  async () => {
    for (const plant of plants) await plant();
  };
const quiet = (state: Partial<ScriptedState>) => () => Object.assign(broker, state);
const group = (facts: object) =>
  quiet({ groups: [{ ...QUIET.groups[0], ...facts }] as ScriptedState['groups'] });
const status = (index: number, to: string) =>
  sql(`
  UPDATE "order".orders SET status = '${to}', payment_id = '${paymentId(index)}',
         history = history || jsonb_build_array(jsonb_build_object('status', '${to}'))
  WHERE order_no = '${orderNo(index)}'`);
const tell = (index: number, kind: string) => () => shop.tell(index, kind);
const pay =
  (index: number, here: string, there: string, amount = 100) =>
  () =>
    shop.pay(index, here, there, amount);
const refund =
  (index: number, state: string, amount = 100) =>
  () =>
    shop.refund(index, state, amount);

describe('the verdict over real books', () => {
  test('holds when they agree', async () => {
    const { ok, checks } = await verdict();
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(ok).toBe(true);
    expect(checks.map(({ name }) => name)).toEqual([
      'no-oversell',
      'conservation',
      'no-undersell',
      'no-lost-order',
      'money-equals-tickets',
      'effects-once',
      'terms',
      'quiet',
    ]);
  });

  const planted: Record<string, [defect: string, plant: () => unknown, ...rules: string[]][]> = {
    'no-oversell': [
      [
        'more sold than there are, on which all books agree',
        all(sql('UPDATE stock.ticket_types SET quantity = 8'), count({ initial: -2, free: -2 })),
        'oversold-in-ledger',
        'oversold-in-ledger-rows',
        'oversold-in-orders',
        'oversold-in-redis',
      ],
    ],
    conservation: [
      ['a ticket that vanished from Redis', count({ free: -1 }), 'redis-total'],
      ['a counter below nothing', count({ held: -1, free: 1 }), 'redis-total', 'redis-holds'],
      ['a counter that its holds do not make', count({ free: -1, held: 1 }), 'redis-holds'],
      ['counters that are gone', () => shop.forgetCounters(), 'not-in-redis'],
      ['another quantity in Redis', count({ initial: 1, free: 1 }), 'redis-quantity'],
      ['a buyer charged for what nobody holds', () => shop.charge('b0', 1), 'redis-charged'],
      [
        'a ticket sold in the ledger and not in Redis',
        all(hold(8, `c|1|${Date.now()}|0|0|0|b8`), count({ held: 1, sold: -1 })),
        'redis-and-ledger',
      ],
      ['a running total that lies', sql('UPDATE stock.ticket_types SET sold = 8'), 'ledger-total'],
    ],
    'no-lost-order': [
      [
        'an order in a state that does not exist',
        sql(`UPDATE "order".orders SET status = 'LOST' WHERE order_no = '${orderNo(9)}'`),
        'illegal-state',
      ],
      [
        'an order whose history ends elsewhere',
        sql(
          `UPDATE "order".orders SET history = history || '[{"status":"PAID"}]' WHERE order_no = '${orderNo(9)}'`,
        ),
        'illegal-state',
      ],
      [
        'movements of an order that does not exist',
        all(
          () => shop.move('unknown', 'DEDUCT'),
          () => shop.move('unknown', 'ROLLBACK'),
        ),
        'movement-without-order',
      ],
      [
        'a refusal of an order that does not exist',
        () => shop.move('unknown', 'REFUSED'),
        'movement-without-order',
      ],
      ...[0, 1, 2].map((partition): [string, () => unknown, string] => [
        `an accepted order that was never written, in partition ${partition}`,
        quiet({ log: logOf(10, partition) }),
        'accepted-without-row',
      ]),
      ['a rejected order', all(status(9, 'REJECTED'), tell(9, 'order-rejected')), 'rejected'],
      [
        'a rejected order, though another type of tickets was put right',
        all(status(9, 'REJECTED'), tell(9, 'order-rejected'), () => shop.sync('ttzzzzzzzzzz', '0 seconds')),
        'rejected',
      ],
      [
        'a rejected order, though its type was put right once, before it was placed',
        all(status(9, 'REJECTED'), tell(9, 'order-rejected'), () => shop.sync(TYPE, '-2 hours')),
        'rejected',
      ],
    ],
    'money-equals-tickets': [
      ['captured money of a cancelled order', pay(9, 'SUCCEEDED', 'CAPTURED'), 'unanswered'],
      [
        'a second payment of a paid order',
        () => shop.pay(20, 'SUCCEEDED', 'CAPTURED', 100, orderNo(3)),
        'unanswered',
      ],
      ['a ticket without money', pay(3, 'FAILED', 'DECLINED'), 'unpaid'],
      ['a ticket for another amount', pay(3, 'SUCCEEDED', 'CAPTURED', 1), 'unpaid'],
      [
        'a ticket whose money went back',
        all(pay(3, 'SUCCEEDED', 'REFUNDED'), refund(3, 'SUCCEEDED')),
        'ticket-and-money-back',
      ],
      [
        'a refunded order without a refund',
        all(status(9, 'REFUNDED'), tell(9, 'order-refunded')),
        'refunded-without-refund',
      ],
      ['a refund that never ends', status(9, 'REFUNDING'), 'refund-unfinished'],
      [
        'a refund of half the money',
        all(
          status(9, 'REFUNDED'),
          tell(9, 'order-refunded'),
          pay(9, 'SUCCEEDED', 'CAPTURED'),
          refund(9, 'SUCCEEDED', 50),
          () => shop.sendBack(9, 50, 'dashboard:1'),
        ),
        'refund-of-another-amount',
      ],
      [
        'money captured at the provider whose webhook fails for ever',
        all(pay(9, 'PENDING', 'CAPTURED'), () => shop.webhook(9, 5)),
        'captured-unheard',
      ],
      [
        'money captured at the provider for a payment that failed here',
        pay(9, 'FAILED', 'CAPTURED'),
        'captured-unheard',
      ],
      [
        'money captured at the provider for no payment of ours',
        sql(`INSERT INTO payment.provider_intents (id, reference, amount_minor, currency, status)
             VALUES ('foreign', gen_random_uuid(), 100, 'EUR', 'CAPTURED')`),
        'captured-unheard',
      ],
      ['a ticket for money that the provider does not have', pay(3, 'SUCCEEDED', 'OPEN'), 'not-captured'],
      [
        'another amount at the provider',
        sql(`UPDATE payment.provider_intents SET amount_minor = 99 WHERE reference = '${paymentId(3)}'`),
        'not-captured',
      ],
      [
        'a refund that the provider has not made',
        all(
          status(9, 'REFUNDED'),
          tell(9, 'order-refunded'),
          pay(9, 'SUCCEEDED', 'CAPTURED'),
          refund(9, 'SUCCEEDED'),
        ),
        'refund-not-made',
      ],
      ['money that went back at the provider only', pay(3, 'SUCCEEDED', 'REFUNDED'), 'refund-unheard'],
      [
        'a part of the money that went back at the provider, unnoticed',
        () => shop.sendBack(3, 40, 'dashboard:1'),
        'refund-unheard',
      ],
      [
        'a refund that was asked for again under another key',
        all(
          status(9, 'REFUNDED'),
          tell(9, 'order-refunded'),
          pay(9, 'SUCCEEDED', 'CAPTURED'),
          refund(9, 'SUCCEEDED'),
          () => shop.sendBack(9, 100, 'another-key'),
        ),
        'refund-repeated',
      ],
    ],
    'effects-once': [
      [
        'a paid order without its deduction',
        sql(
          `UPDATE stock.ledger SET movement = 'REACQUIRE' WHERE order_no = '${orderNo(3)}' AND movement = 'DEDUCT'`,
        ),
        'deduct',
      ],
      [
        'a confirmation that never came',
        sql(`DELETE FROM stock.ledger WHERE order_no = '${orderNo(3)}' AND movement = 'CONFIRM'`),
        'confirm',
      ],
      ['a confirmation that nobody paid for', () => shop.move(orderNo(8), 'CONFIRM', 8), 'confirm-unpaid'],
      [
        'tickets of a cancelled order kept, another given back in its place',
        all(
          sql(`UPDATE stock.ledger SET order_no = '${orderNo(8)}', buyer_id = 'b8'
               WHERE order_no = '${orderNo(9)}' AND movement = 'ROLLBACK'`),
        ),
        'kept-in-ledger',
        'another-quantity-in-ledger',
      ],
      [
        'a movement of another buyer',
        sql(
          `UPDATE stock.ledger SET buyer_id = 'x' WHERE order_no = '${orderNo(3)}' AND movement = 'CONFIRM'`,
        ),
        'movement-of-another-order',
      ],
      [
        'a buyer who was told by no push that the order is paid',
        sql(`UPDATE notification.deliveries SET status = 'PENDING'
             WHERE subject_id = '${orderNo(3)}' AND channel = 'push'`),
        'paid-untold',
      ],
      ['a buyer who was told that a paid order is cancelled', tell(3, 'order-cancelled'), 'told-what-is-not'],
      [
        'a mail that arrived twice',
        sql(`INSERT INTO notification.mailbox (message_id, sender, recipient, subject, text)
             SELECT '<again>', sender, recipient, subject, text FROM notification.mailbox
             WHERE message_id LIKE '%${orderNo(3)}%'`),
        'mail-repeated',
      ],
      [
        'a mail that was sent and never arrived',
        sql(`DELETE FROM notification.mailbox WHERE message_id LIKE '%${orderNo(3)}%'`),
        'mail-missing',
      ],
      [
        'an order given back in Redis, another kept in its place',
        all(hold(8, `r|1|${Date.now()}|${Date.now()}|0|0|b8`), hold(9, `s|1|${Date.now()}|0|0|0|b9`)),
        'given-back-in-redis',
        'kept-in-redis',
      ],
      [
        'an order that Redis has forgotten, another kept in its place',
        all(() => shop.dropHold(8), hold(9, `a|1|${Date.now()}|0|0|0|b9`)),
        'kept-in-redis',
        'missing-in-redis',
      ],
      [
        'a hold of another buyer than its order',
        hold(3, `s|1|${Date.now()}|0|0|0|x`),
        'another-hold-in-redis',
      ],
    ],
    terms: [
      [
        'a buyer with more tickets than one may hold',
        all(
          sql(`UPDATE "order".orders SET buyer_id = 'b0' WHERE order_no = '${orderNo(1)}';
               UPDATE stock.ledger SET buyer_id = 'b0' WHERE order_no = '${orderNo(1)}'`),
          hold(1, `s|1|${Date.now()}|0|0|0|b0`),
        ),
        'over-limit',
      ],
      [
        'a ticket at another price',
        sql(`UPDATE "order".orders SET total_minor = 99 WHERE order_no = '${orderNo(8)}'`),
        'another-price',
      ],
      [
        'a ticket in another currency',
        sql(`UPDATE "order".orders SET currency = 'USD' WHERE order_no = '${orderNo(8)}'`),
        'another-price',
      ],
      [
        'tickets sold before the sale',
        sql(`UPDATE stock.ticket_types SET sale_opens_at = now() + interval '1 hour'`),
        'before-sale',
      ],
      [
        'tickets sold after the sale',
        sql(`UPDATE stock.ticket_types SET sale_closes_at = now() - interval '2 hours'`),
        'after-sale',
      ],
      [
        'tickets sold after the session had begun',
        sql(`UPDATE stock.sessions SET starts_at = now() - interval '2 hours'`),
        'after-start',
      ],
      [
        'an order whose timer was lost',
        sql(
          `UPDATE "order".orders SET pay_before = now() - interval '1 minute' WHERE order_no = '${orderNo(8)}'`,
        ),
        'past-pay-before',
      ],
      [
        'a buyer who was not told of the cancellation',
        sql(`DELETE FROM notification.deliveries WHERE subject_id = '${orderNo(9)}' AND channel = 'sms'`),
        'cancelled-untold',
      ],
      [
        'a buyer who was not told of the refund',
        all(status(9, 'REFUNDED'), pay(9, 'SUCCEEDED', 'REFUNDED'), refund(9, 'SUCCEEDED')),
        'refunded-untold',
      ],
      [
        'a buyer who was not told of the rejection',
        all(status(9, 'REJECTED'), () => shop.sync(TYPE, '1 second')),
        'rejected-untold',
      ],
      ...(['h', 'c'] as const).map((state): [string, () => unknown, string] => [
        `a hold of no order (${state})`,
        all(
          hold(30, `${state}|1|${Date.now()}|${Date.now() + 600_000}|0|0|b30`),
          count({ free: -1, held: 1 }),
          () => shop.charge('b30', 1),
        ),
        'hold-without-order',
      ]),
    ],
    quiet: [
      ['a group that lags', group({ lag: 4 }), 'lag'],
      ['messages that a group never got', group({ missed: { messages: 2, ranges: [] } }), 'missed'],
      ['dead letters that were dropped', group({ deadLettersDropped: 1 }), 'letters-dropped'],
      [
        'a message that cannot be read',
        group({ unreadable: [{ topic: 'order', partition: 1, offset: 7, error: 'CRC' }] }),
        'unreadable',
      ],
      ['a timer past due', quiet({ timers: { pending: 1, pastDue: 1, nextDueAtMs: 0 } }), 'timers-past-due'],
      ...(['order', 'payment'] as const).map((service): [string, () => unknown, string] => [
        `a message that ${service} has not sent`,
        () =>
          admin.query(`INSERT INTO "${service}".outbox (shard, message_id, topic, tag, headers, options, body)
                       VALUES (0, 'm', 't', 't', '{}', '{}', '')`),
        'unsent',
      ]),
      ['an undecided half message', quiet({ transactions: { pending: 1, parked: [] } }), 'undecided'],
      [
        'a parked half message',
        quiet({
          transactions: {
            pending: 0,
            parked: [{ transactionId: 't1', producerGroup: 'order', preparedAtMs: 0, checks: 15 }],
          },
        }),
        'parked',
      ],
    ],
  };
  const cases = Object.entries(planted).flatMap(([check, defects]) =>
    defects.map(([defect, plant, ...rules]) => ({
      defect,
      plant,
      rules: rules.map((rule) => `${check}/${rule}`),
    })),
  );
  test.each(cases)('finds $defect, by $rules alone', async ({ plant, rules }) => {
    await plant();
    expect((await broken()).sort()).toEqual([...rules].sort());
  });

  test('names what breaks it in words and for programs', async () => {
    await admin.query(`UPDATE payment.payments SET status = 'FAILED' WHERE id = '${paymentId(3)}';
                       UPDATE payment.provider_intents SET status = 'DECLINED' WHERE reference = '${paymentId(3)}'`);
    expect((await verdict()).checks[4]).toEqual({
      name: 'money-equals-tickets',
      ok: false,
      detail: `1 PAID orders without their captured payment (${orderNo(3)})`,
      findings: [{ rule: 'unpaid', count: 1, examples: [orderNo(3)] }],
    });
  });

  test('finds an order row that was lost in every book that shows it', async () => {
    await admin.query(`DELETE FROM "order".orders WHERE order_no = '${orderNo(8)}'`);
    expect(await broken()).toEqual([
      'no-lost-order/accepted-without-row',
      'no-lost-order/movement-without-order',
      'terms/hold-without-order',
    ]);
  });

  test('waits for a payment whose provider has put off telling us', async () => {
    await shop.pay(8, 'PENDING', 'CAPTURED');
    await shop.webhook(8, 0);
    expect(await broken()).toEqual([]);
  });

  test('takes a finished refund for an answer to captured money', async () => {
    await all(status(9, 'REFUNDED'), tell(9, 'order-refunded'), pay(9, 'SUCCEEDED', 'REFUNDED'))();
    await shop.refund(9, 'SUCCEEDED');
    expect(await broken()).toEqual([]);
  });

  test('takes a part that went back in the dashboard for what it is, once it is on record', async () => {
    await shop.sendBack(3, 40, 'dashboard:1');
    await admin.query(`INSERT INTO payment.webhook_anomalies (event_id, kind, payment_id, body)
                       VALUES ('e1', 'partial-refund', '${paymentId(3)}', '{}')`);
    expect(await broken()).toEqual([]);
    await shop.sendBack(3, 100, 'dashboard:2');
    expect(await broken()).toEqual(['money-equals-tickets/refund-unheard']);
  });

  test('asks no money for a free ticket', async () => {
    await admin.query(`
      UPDATE stock.ticket_types SET price_minor = 0;
      UPDATE "order".orders SET total_minor = 0, payment_id = NULL;
      DELETE FROM payment.payments;
      DELETE FROM payment.provider_intents`);
    expect(await broken()).toEqual([]);
  });

  test('excuses a rejected order when its tickets were put right between its placing and its rejection', async () => {
    await all(status(9, 'REJECTED'), tell(9, 'order-rejected'), () => shop.sync(TYPE, '1 second'))();
    expect(await broken()).toEqual([]);
  });

  test('excuses an order that the ledger refused after Redis had lost earlier ones', async () => {
    await all(status(9, 'REJECTED'), tell(9, 'order-rejected'), () => shop.sync(TYPE, '-30 minutes'))();
    expect(await broken()).toEqual(['no-lost-order/rejected']);
    await admin.query(`UPDATE stock.ledger SET movement = 'REFUSED' WHERE order_no = '${orderNo(9)}' AND movement = 'DEDUCT';
                       DELETE FROM stock.ledger WHERE order_no = '${orderNo(9)}' AND movement = 'ROLLBACK'`);
    expect(await broken()).toEqual([]);
  });

  test('says what it could not compare with a real provider and a real mail server', async () => {
    await admin.query('DELETE FROM payment.provider_intents; DELETE FROM notification.mailbox');
    const { ok, checks } = await verdict();
    expect(ok).toBe(true);
    expect(checks[4]?.detail).toContain("not compared with the provider's book");
    expect(checks[5]?.detail).toContain('not compared with mailboxes');
  });

  describe('about tickets that are left over', () => {
    const demand = { ticketTypeId: TYPE, tickets: 50 };

    test('blames them, unless they came back after the last buyer was turned away', async () => {
      expect(await broken({ ...demand, lastSoldOutAtMs: undefined })).toEqual(['no-undersell/undersold']);
      expect(await broken({ ...demand, lastSoldOutAtMs: Date.now() + 60_000 })).toEqual([
        'no-undersell/undersold',
      ]);
      // Order 9 was placed and cancelled a moment ago.
      expect(await broken({ ...demand, lastSoldOutAtMs: Date.now() })).toEqual([]);
    });

    test('does not excuse them by tickets that came back and were sold again', async () => {
      await shop.rejuvenate(8);
      expect(await broken({ ...demand, lastSoldOutAtMs: Date.now() - 1_000 })).toEqual([
        'no-undersell/undersold',
      ]);
    });

    test('excuses those of a hold that never became an order', async () => {
      await admin.query(`UPDATE stock.ledger SET at = at - interval '1 hour'`);
      const lastSoldOutAtMs = Date.now();
      expect(await broken({ ...demand, lastSoldOutAtMs })).toEqual(['no-undersell/undersold']);
      await shop.setHold(31, `r|1|${lastSoldOutAtMs - 1_000}|${lastSoldOutAtMs + 1_000}|0|0|b31`);
      expect(await broken({ ...demand, lastSoldOutAtMs })).toEqual([]);
    });

    test('has nothing to say about less demand than stock, or about no demand', async () => {
      expect(await broken({ ...demand, tickets: 9, lastSoldOutAtMs: undefined })).toEqual([]);
      expect((await verdict()).checks[2]?.detail).toContain('demand unknown');
    });

    test('knows no other type of tickets', async () => {
      const other = { ticketTypeId: 'ttzzzzzzzzzz', tickets: 1, lastSoldOutAtMs: undefined };
      expect(await broken(other)).toEqual(['no-undersell/unknown-ticket-type']);
    });
  });
});
