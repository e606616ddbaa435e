import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { repositoryRoot } from '../../libs/service-kit/src/testing/repository-root.js';
import { eventually, ShopClient } from '../harness/client.js';
import { freePortRange, launchShop } from '../harness/shop.js';
import { JWT_SECRET, keptOrders, keptPath, keptVersions, restoreDatabase, unpackDirectory } from './kept.js';

const POSTGRES_PASSWORD = 'kept';

describe.each(keptVersions())('on the data that %s has left', (version) => {
  const kept = keptOrders(version);
  let dir: string;
  let launcher: ChildProcess | undefined;
  let client: ShopClient;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'stampede-upgrade-'));
    const port = await freePortRange();
    for (const part of ['broker', 'redis']) {
      mkdirSync(join(dir, part));
      unpackDirectory(keptPath(version, `${part}.tar.gz`), join(dir, part));
    }
    await restorePostgres(join(dir, 'postgres'), port, version);
    writeFileSync(join(dir, 'secrets.json'), JSON.stringify({ postgresPassword: POSTGRES_PASSWORD }));
    launcher = await launchShop({ STAMPEDE_DIR: dir, PORT: String(port), JWT_SECRET, NODE_OPTIONS: '' });
    client = new ShopClient(`http://127.0.0.1:${port}`, JWT_SECRET);
  }, 180_000);

  afterAll(async () => {
    if (launcher !== undefined) await stop(launcher);
    rmSync(dir, { recursive: true, force: true });
  }, 30_000);

  it('fires the timer that ran out meanwhile, and keeps what was decided', async () => {
    await client.orderIn(kept.due.buyer, kept.due.orderNo, ['CANCELLED']);
    await client.orderIn(kept.paid.buyer, kept.paid.orderNo, ['PAID']);
    await client.orderIn(kept.cancelled.buyer, kept.cancelled.orderNo, ['CANCELLED']);
  }, 30_000);

  it('takes the payment that was begun before', async () => {
    const { buyer, orderNo } = kept.open;
    // Its timer runs out a month after it was kept; a payment that comes later gets its ticket back.
    await client.orderIn(buyer, orderNo, ['PENDING_PAYMENT', 'CANCELLED']);
    await client.checkOut(kept.checkoutPath, { outcome: 'succeed' });
    await client.orderIn(buyer, orderNo, ['PAID']);
  }, 30_000);

  it('sells on, and its books agree', async () => {
    const { orderNo } = await client.buy('buyer-new', kept.ticketTypeId, 2);
    await client.pay('buyer-new', orderNo);
    await client.orderIn('buyer-new', orderNo, ['PAID']);
    await eventually(
      async () => ((await client.remaining(kept.ticketTypeId)) === 16 ? true : undefined),
      10_000,
      () => `sold should be the paid order’s ticket, that of the payment begun before, and two new ones`,
    );
    const { checks } = await client.verdictHolds();
    expect(checks.length).toBeGreaterThan(5);
  }, 60_000);
});

/** A new cluster with what was dumped, as a shop of that version had it. */
async function restorePostgres(dir: string, port: number, version: string): Promise<void> {
  const program = join(repositoryRoot(), 'scripts', 'postgres.mjs');
  const runner = spawn(process.execPath, [program, '--dir', dir, '--port', String(port), '--unsafe-fast'], {
    env: { ...process.env, POSTGRES_PASSWORD, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await Promise.race([
    once(runner.stdout, 'data'),
    once(runner, 'exit').then(() => Promise.reject(new Error('PostgreSQL ended'))),
  ]);
  await restoreDatabase(version, `postgresql://postgres:${POSTGRES_PASSWORD}@127.0.0.1:${port}/stampede`);
  await stop(runner);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  await ended;
}
