import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { FaultProxy, startRedis, type TestRedis } from '#libs/service-kit/testing';
import { StockUnderTest } from '../testing/stock-under-test.js';

let servers: [TestRedis, TestRedis];
let admins: [Redis, Redis];
let proxy: FaultProxy;
let shop: StockUnderTest;

beforeAll(async () => {
  servers = await Promise.all([
    startRedis('--repl-diskless-sync-delay', '0'),
    startRedis('--repl-diskless-sync-delay', '0'),
  ]);
  admins = [new Redis(servers[0].url), new Redis(servers[1].url)];
}, 60_000);
afterAll(async () => {
  for (const admin of admins) admin.disconnect();
  await Promise.all(servers.map((server) => server.stop()));
});
beforeEach(async () => {
  await admins[0].replicaof('NO', 'ONE');
  await follow(1, 0);
  proxy = await FaultProxy.inFrontOf(servers[0].url);
  shop = await StockUnderTest.start(proxy.via(servers[0].url));
}, 60_000);
afterEach(async () => {
  await shop.stop();
  await proxy.stop();
});

/** Makes one server the replica of the other, and waits until it has all of its data. */
async function follow(replica: 0 | 1, primary: 0 | 1): Promise<void> {
  const { hostname, port } = new URL(servers[primary].url);
  await admins[replica].replicaof(hostname, Number(port));
  while (!(await admins[replica].info('replication')).includes('master_link_status:up')) await pause(20);
  await admins[primary].call('WAIT', '1', '5000');
}

/** The outcome, or the name of what failed, until it is one of those: the client finds the new primary in its own time. */
async function eventually(type: string, ...wanted: string[]): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    const answer = await shop
      .reserve(shop.order(type, `buyer-${tries}`))
      .catch((error: Error) => error.message);
    if (wanted.includes(answer) || tries === 200) return answer;
    await pause(20);
  }
}

it('after a fail-over that lost the last writes nothing is sold before the ledger was asked, and then the rest', async () => {
  const type = await shop.ticketType(20);
  await shop.happened('created', await shop.claimed(type, 'replicated', 3));
  await admins[0].call('WAIT', '1', '5000');
  // The replica hears nothing more; the shop sells on.
  await admins[1].replicaof('NO', 'ONE');
  await shop.happened('created', await shop.claimed(type, 'lost', 4));
  proxy.switchTo(servers[1].url);
  const behind = new URL(servers[1].url);
  await admins[0].replicaof(behind.hostname, Number(behind.port));

  // The connection still stands, to a server that takes no writes any more.
  expect(await shop.reserve(shop.order(type, 'first')).catch((error: Error) => error.message)).toMatch(
    /READONLY/,
  );
  expect(await eventually(type, 'not-ready', 'reserved')).toBe('not-ready');
  await shop.verifyStock.execute();
  expect(await shop.counters(type)).toEqual({ free: 13, held: 0, sold: 7 });
  expect(await shop.ledgerSold(type)).toBe(7);
  expect(await shop.reserve(shop.order(type, 'after'))).toBe('reserved');
}, 60_000);

it('a primary that was a replica meanwhile is another run, though its process and its counters name this one', async () => {
  const type = await shop.ticketType(20);
  await shop.happened('created', await shop.claimed(type, 'replicated', 3));
  await admins[0].call('WAIT', '1', '5000');
  await admins[1].replicaof('NO', 'ONE');
  await shop.happened('created', await shop.claimed(type, 'lost', 4));
  // Failed over and back before anybody has looked: the first server has now what the second one had.
  await follow(0, 1);
  await admins[0].replicaof('NO', 'ONE');
  proxy.cut();

  expect(await eventually(type, 'not-ready', 'reserved')).toBe('not-ready');
  await shop.verifyStock.execute();
  expect(await shop.counters(type)).toEqual({ free: 13, held: 0, sold: 7 });
}, 60_000);
