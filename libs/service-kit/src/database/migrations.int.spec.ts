import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient as NotificationClient } from '#prisma/notification';
import { PrismaClient as OpsClient } from '#prisma/ops';
import { PrismaClient as OrderClient } from '#prisma/order';
import { PrismaClient as PaymentClient } from '#prisma/payment';
import { PrismaClient as StockClient } from '#prisma/stock';
import { startPostgres, type TestPostgres } from '../testing/index.js';
import { openDatabase, type DatabaseClass } from './database.js';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());

const clients = [
  ['order', OrderClient, ['order']],
  ['stock', StockClient, ['show', 'session', 'ticketType', 'ledgerEntry', 'inboxMessage']],
  [
    'payment',
    PaymentClient,
    [
      'payment',
      'refund',
      'webhookEvent',
      'webhookAnomaly',
      'providerIntent',
      'providerRefund',
      'providerWebhook',
      'inboxMessage',
    ],
  ],
  ['notification', NotificationClient, ['delivery', 'mail', 'inboxMessage']],
  ['ops', OpsClient, ['deadLetter', 'alert', 'auditEntry', 'inboxMessage']],
] as const satisfies [string, DatabaseClass, string[]][];

describe('the migrations make the tables that the schema file names, column by column', () => {
  test.each(clients)('%s', async (service, Client, models) => {
    const logger = pino({ level: 'silent' });
    const client = openDatabase(Client as DatabaseClass, {
      url: postgres.url(service),
      schema: service,
      logger,
    });
    try {
      const tables = client as unknown as Record<string, { findFirst(): Promise<unknown> }>;
      for (const model of models) expect(await tables[model]?.findFirst()).toBeNull();
    } finally {
      await client.$disconnect();
    }
  });
});
