import { Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { PrismaClient } from '#prisma/payment';
import {
  BROKER_PORT,
  defineEvent,
  envelope,
  MessageBus,
  MessagingError,
  type OutgoingMessage,
} from '#libs/messaging';
import { until } from '../../../messaging/src/testing/until.js';
import { serve, type RunningService } from '../boot.js';
import type { DatabaseTransaction } from '../database/database.js';
import { ServiceAdapter } from '../http/fastify.js';
import { ServiceModule, type ServiceOptions } from '../service.module.js';
import { startPostgres, type TestPostgres } from '../testing/index.js';

const Made = defineEvent({
  topic: 'payment',
  tag: 'made',
  version: 1,
  key: ({ id }) => id,
  payload: z.object({ id: z.string() }),
});

let postgres: TestPostgres;
const environment = { ...process.env };
/** What happened, in order. */
let events: string[];
let isAway: boolean;

const broker = {
  ready: async () => undefined,
  onCheckBack: async () => undefined,
  prepare: async (_group: string, messages: readonly OutgoingMessage[]) => {
    events.push('prepared');
    return {
      transactionId: 't',
      commit: async () => void events.push(...messages.map(({ key }) => `committed ${key}`)),
      rollback: async () => undefined,
    };
  },
  send: async (messages: readonly OutgoingMessage[]) => {
    if (isAway) throw new MessagingError('BROKER_UNAVAILABLE', 'away');
    events.push(...messages.map(({ key }) => `sent ${key}`));
    return [];
  },
  close: async () => void events.push('broker closed'),
};

async function start(transactions: ServiceOptions['transactions']): Promise<RunningService> {
  const options = { name: 'payment', prisma: PrismaClient, ...(transactions && { transactions }) };
  @Module({ imports: [ServiceModule.forRoot(options)] })
  class FixtureModule {}
  const testing = await Test.createTestingModule({ imports: [FixtureModule] })
    .overrideProvider(BROKER_PORT)
    .useValue(broker)
    .compile();
  const application = testing.createNestApplication<NestFastifyApplication>(new ServiceAdapter());
  return serve(application, 'payment');
}

beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());
beforeEach(() => {
  const DATABASE_URL = postgres.url('payment');
  Object.assign(process.env, {
    ...{ NODE_ENV: 'test', JWT_SECRET: 'secret', PORT: '0', LOG_LEVEL: 'silent', DATABASE_URL },
  });
  events = [];
  isAway = false;
});
afterEach(() => {
  process.env = { ...environment };
});

const write = (service: RunningService, id: string): Promise<number> => {
  const database: DatabaseTransaction = service.app.get(PrismaClient);
  return service.app
    .get(MessageBus)
    .transactional('payment', [envelope(Made, { id })], async (tx: DatabaseTransaction = database) =>
      tx.$executeRawUnsafe(`INSERT INTO inbox (consumer_group, message_id) VALUES ('spec', $1)`, id),
    );
};

describe('a service whose module chooses the outbox', () => {
  test('sends what it wrote, and prepares nothing at the broker', async () => {
    const service = await start('outbox');
    await write(service, 'a');
    await until(() => events.length > 0, 'the relay');
    expect(events).toEqual(['sent a']);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toMatch(/^outbox_lag_seconds\S* 0$/m);
    expect(metrics).toMatch(/^outbox_sent_total\S* 1$/m);
    await service.close();
  });

  test('writes while the broker is away, and sends what is left before it closes its connection to it', async () => {
    const service = await start('outbox');
    isAway = true;
    await write(service, 'b');
    await write(service, 'c');
    isAway = false;
    await service.close();
    expect(events.sort()).toEqual(['broker closed', 'sent b', 'sent c']);
  });
});

test('a service that sends half messages again sends what its outbox has left, too', async () => {
  const before = await start('outbox');
  isAway = true;
  await write(before, 'd');
  await before.close();
  isAway = false;
  events = [];
  const after = await start('half-messages');
  await write(after, 'e');
  await until(() => events.includes('sent d'), 'what was left');
  expect(events.filter((event) => event !== 'sent d')).toEqual(['prepared', 'committed e']);
  await after.close();
});
