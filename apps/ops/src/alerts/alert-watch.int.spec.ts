import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import type { AlertView } from '#libs/contracts';
import type { BrokerPort, GroupInfo, StorageInfo } from '#libs/messaging';
import { Metrics, openDatabase } from '#libs/service-kit';
import { startPostgres, type TestPostgres } from '#libs/service-kit/testing';
import { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import { STANDSTILL_MS } from '../domain/standstill.js';
import { AlertStore } from './alert-store.js';
import { AlertWatch } from './alert-watch.js';
import { AlertWebhook } from './alert-webhook.js';

const logger = pino({ level: 'silent' });
let postgres: TestPostgres;
let prisma: PrismaClient;
let receiver: Server;
let url: string;
/** How many calls the receiver refuses before it takes one. */
let refusals = 0;
let told: AlertView[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  prisma = openDatabase(PrismaClient, { url: postgres.url('ops'), schema: 'ops', logger });
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (refusals > 0) {
        refusals -= 1;
        response.writeHead(500).end();
        return;
      }
      told.push(JSON.parse(body) as AlertView);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts`;
}, 60_000);
afterAll(async () => {
  receiver?.close();
  await prisma?.$disconnect();
  await postgres?.stop();
});
beforeEach(async () => {
  refusals = 0;
  told = [];
  await prisma.deadLetter.deleteMany();
  await prisma.alert.deleteMany();
});

function newWatch(threshold = 1, groups?: () => Promise<GroupInfo[]>, storage?: () => Promise<StorageInfo>) {
  const config = {
    DEAD_LETTER_ALERT_COUNT: threshold,
    ALERT_INTERVAL_MS: 60_000,
    ALERT_WEBHOOK_URL: url,
    REDRIVE_PER_SECOND: 100,
  };
  const metrics = new Metrics('ops');
  const webhook = new AlertWebhook(config, logger);
  const watch = new AlertWatch(
    new DeadLetterStore(prisma),
    new AlertStore(prisma),
    webhook,
    { admin: { groups, storage } } as unknown as BrokerPort,
    config,
    metrics,
    logger,
  );
  const gauge = () => metrics.registry.getSingleMetricAsString('stampede_alert_firing');
  return { watch, gauge, webhook };
}

const die = (messageId: string) =>
  new DeadLetterStore(prisma).keep([
    {
      id: messageId,
      group: 'stock.confirm',
      messageId,
      topic: 'order',
      tag: 'paid',
      key: undefined,
      reason: 'rejected',
      error: 'e',
      attempts: [],
      headers: {},
      body: Buffer.of(),
      bornAt: new Date(),
      deadAt: new Date(),
    },
  ]);
async function untilTold(count: number): Promise<void> {
  while (told.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('an alert', () => {
  test('of a full disk of the broker is told while sends are refused, and goes on while nobody knows', async () => {
    let info: StorageInfo | undefined = {
      ...{ isShort: true, freeBytes: 5, reservedBytes: 10, reserveBytes: 10 },
    };
    const { watch, gauge } = newWatch(1, undefined, () =>
      info ? Promise.resolve(info) : Promise.reject(new Error('away')),
    );
    await watch.lookOnce();
    expect(await gauge()).toContain('alert="broker-storage",service="ops"} 1');
    await untilTold(1);
    expect(told).toMatchObject([{ name: 'broker-storage', status: 'firing' }]);
    expect(told[0]?.detail).toContain('5 bytes free');
    info = undefined;
    await watch.lookOnce();
    info = { isShort: false, reservedBytes: 10, reserveBytes: 10 };
    await watch.lookOnce();
    await untilTold(2);
    expect(told[1]).toMatchObject({ name: 'broker-storage', status: 'resolved' });
  });

  test('is raised once, told, and resolved once when the dead letters are gone', async () => {
    const { watch, gauge } = newWatch();
    await die('m');
    await watch.lookOnce();
    await die('n');
    await watch.lookOnce();
    await untilTold(1);
    expect(told).toMatchObject([{ name: 'dead-letters:stock.confirm', status: 'firing', count: 1 }]);
    expect(await prisma.alert.findMany()).toMatchObject([{ count: 2, resolvedAt: null }]);
    expect(await gauge()).toContain('alert="dead-letters:stock.confirm",service="ops"} 1');

    await prisma.deadLetter.updateMany({ data: { status: 'REDRIVEN' } });
    await watch.lookOnce();
    await watch.lookOnce();
    await untilTold(2);
    expect(told[1]).toMatchObject({ status: 'resolved' });
    expect(await gauge()).not.toContain('stock.confirm');

    await die('o');
    await watch.lookOnce();
    expect(await new AlertStore(prisma).firing()).toHaveLength(1);
    expect(await new AlertStore(prisma).recent(10)).toHaveLength(1);
  });

  test('is raised once when two watchers look at the same time', async () => {
    await die('m');
    await Promise.all([
      newWatch().watch.lookOnce(),
      newWatch().watch.lookOnce(),
      newWatch().watch.lookOnce(),
    ]);
    expect(await prisma.alert.count()).toBe(1);
    await untilTold(1);
  });

  test('stays silent under the threshold', async () => {
    await die('m');
    await newWatch(2).watch.lookOnce();
    expect(await prisma.alert.count()).toBe(0);
  });

  test('of something that happened is raised once, told, and ends after a day', async () => {
    const { watch, gauge } = newWatch();
    const dispute = { kind: 'dispute', eventId: 'e1', paymentId: 'p1' };
    await watch.raiseAnomaly(dispute);
    await watch.raiseAnomaly({ kind: 'dispute', eventId: 'e2' });
    await watch.lookOnce();
    await untilTold(2);
    expect(told.map(({ name }) => name).sort()).toEqual([
      'payment-anomaly:dispute:e1',
      'payment-anomaly:dispute:e2',
    ]);
    expect(await gauge()).toContain('alert="payment-anomaly:dispute",service="ops"} 1');

    await prisma.$executeRaw`UPDATE alerts SET fired_at = fired_at - interval '25 hours' WHERE name LIKE '%e1'`;
    await watch.lookOnce();
    await untilTold(3);
    expect(told[2]).toMatchObject({ name: 'payment-anomaly:dispute:e1', status: 'resolved' });
    // A copy of the message that comes as late as this.
    await watch.raiseAnomaly(dispute);
    expect(await new AlertStore(prisma).firing()).toHaveLength(1);
    expect(await prisma.alert.count()).toBe(2);
  });

  test('of something that happened is told again when a copy comes, for the first may have died before it told', async () => {
    const { watch } = newWatch();
    const dispute = { kind: 'dispute', eventId: 'e3' };
    await Promise.all([watch.raiseAnomaly(dispute), newWatch().watch.raiseAnomaly(dispute)]);
    await untilTold(2);
    expect(await prisma.alert.count()).toBe(1);
  });

  test('of a group that has work and gets none of it done is raised, and ends when it goes on', async () => {
    const paused = { group: 'notification.sms', members: [], lag: 1, retrying: 0, acked: 3, deadLetters: 0 };
    let answer: () => Promise<unknown[]> = () => Promise.resolve([{ ...paused, positions: [] }]);
    const { watch, gauge } = newWatch(1, () => answer() as Promise<GroupInfo[]>);
    await watch.lookOnce(0);
    expect(await prisma.alert.count()).toBe(0);
    await watch.lookOnce(STANDSTILL_MS);
    await untilTold(1);
    expect(told).toMatchObject([{ name: 'standstill:notification.sms', status: 'firing' }]);
    expect(await gauge()).toContain('alert="standstill:notification.sms",service="ops"} 1');
    const asBefore = answer;
    answer = () => Promise.reject(new Error('the broker is away'));
    await watch.lookOnce(STANDSTILL_MS + 1);
    expect(await new AlertStore(prisma).firing()).toHaveLength(1);
    answer = asBefore;
    await watch.lookOnce(STANDSTILL_MS + 2);
    expect(await prisma.alert.count()).toBe(1);
    // Another process, or this one started anew.
    await newWatch(1, () => answer() as Promise<GroupInfo[]>).watch.lookOnce(0);
    expect(await new AlertStore(prisma).firing()).toHaveLength(1);
    answer = () => Promise.resolve([{ ...paused, positions: [], lag: 0, acked: 4 }]);
    await watch.lookOnce(STANDSTILL_MS + 3);
    await untilTold(2);
    expect(told[1]).toMatchObject({ status: 'resolved' });
  });

  test('is told again until the receiver takes it', async () => {
    refusals = 2;
    await die('m');
    await newWatch().watch.lookOnce();
    await untilTold(1);
    expect(refusals).toBe(0);
  });

  test('ends its tries when the service stops', async () => {
    refusals = 100;
    const { webhook } = newWatch();
    const alert = {
      id: 'x',
      name: 'n',
      status: 'firing',
      detail: '',
      count: 1,
      threshold: 1,
      firedAt: '',
    } as const;
    const announced = webhook.announce(alert);
    webhook.onModuleDestroy();
    await announced;
    expect(told).toEqual([]);
  });
});
