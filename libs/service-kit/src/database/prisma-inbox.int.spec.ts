import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient as OrderClient } from '#prisma/order';
import { PrismaClient, type Prisma } from '#prisma/stock';
import { startPostgres, type TestPostgres } from '../testing/index.js';
import { openDatabase } from './database.js';
import { hasInbox, PrismaInbox } from './prisma-inbox.js';
import { OLD_INBOX_ROWS, RowRetention } from './row-retention.js';

let postgres: TestPostgres;
let database: PrismaClient;
let inbox: PrismaInbox<Prisma.TransactionClient>;

beforeAll(async () => {
  postgres = await startPostgres();
  const logger = pino({ level: 'silent' });
  database = openDatabase(PrismaClient, { url: postgres.url('stock'), schema: 'stock', logger });
  inbox = new PrismaInbox(database);
}, 60_000);
afterAll(async () => {
  await database?.$disconnect();
  await postgres?.stop();
});
beforeEach(async () => {
  await database.inboxMessage.deleteMany();
  await database.show.deleteMany();
});

/** An effect that can be counted: a row per run. */
const effect = async (tx: Prisma.TransactionClient): Promise<void> => {
  const id = `show-${Math.random()}`;
  await tx.show.create({ data: { id, title: 'Show', venue: 'Hall', startsAt: new Date(0) } });
};

describe('the inbox', () => {
  test('runs a message once, however many copies arrive at the same time', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => inbox.once('g', 'm', effect)));
    expect(outcomes.filter((outcome) => outcome === 'handled')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(19);
    expect(await database.show.count()).toBe(1);
  });

  test('forgets a message whose handler failed, together with what the handler had written', async () => {
    const failing = inbox.once('g', 'm', async (tx) => {
      await effect(tx);
      throw new Error('after the write');
    });
    await expect(failing).rejects.toThrow('after the write');
    expect(await database.show.count()).toBe(0);
    expect(await database.inboxMessage.count()).toBe(0);
    expect(await inbox.once('g', 'm', effect)).toBe('handled');
    expect(await database.show.count()).toBe(1);
  });

  test('lets a waiting copy run when the first one fails', async () => {
    let fail = (): void => undefined;
    let entered = (): void => undefined;
    const running = new Promise<void>((resolve) => (entered = resolve));
    const first = inbox.once('g', 'm', async (tx) => {
      await effect(tx);
      entered();
      await new Promise<void>((_resolve, reject) => (fail = () => reject(new Error('too late'))));
    });
    const failed = expect(first).rejects.toThrow('too late');
    await running;
    const second = inbox.once('g', 'm', effect);
    fail();
    await failed;
    expect(await second).toBe('handled');
    expect(await database.show.count()).toBe(1);
  });

  test('keeps the groups apart', async () => {
    expect(await inbox.once('g1', 'm', effect)).toBe('handled');
    expect(await inbox.once('g2', 'm', effect)).toBe('handled');
    expect(await inbox.once('g1', 'm', effect)).toBe('duplicate');
    expect(await database.show.count()).toBe(2);
  });

  test('forgets what is too old to come again, and nothing else', async () => {
    await inbox.once('g', 'new', effect);
    await database.$executeRaw`
      INSERT INTO inbox SELECT 'g', 'm' || i, 'epoch'::timestamptz FROM generate_series(1, 10001) AS i`;
    const logger = pino({ level: 'silent' });
    const retention = new RowRetention([OLD_INBOX_ROWS], database, { now: () => Date.now() }, logger);
    expect(await retention.forgetOld()).toBe(10_001);
    expect(await database.inboxMessage.findMany({ select: { messageId: true } })).toEqual([
      { messageId: 'new' },
    ]);
  });

  test('is found by its model', async () => {
    expect(hasInbox(database)).toBe(true);
    const url = postgres.url('order');
    const without = openDatabase(OrderClient, { url, schema: 'order', logger: pino({ level: 'silent' }) });
    expect(hasInbox(without)).toBe(false);
    await without.$disconnect();
  });
});
