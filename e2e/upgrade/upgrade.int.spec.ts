import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { EmbeddedBroker } from '#libs/broker';
import { PaymentTimeout } from '#libs/contracts';
import { startPostgres, testPasswords } from '#libs/service-kit/testing';
import { migrate } from '../../prisma/migrate.js';
import { eventually } from '../harness/client.js';
import { keptOrders, keptPath, keptVersions, restoreDatabase, unpackDirectory } from './kept.js';

describe.each(keptVersions())('of the data that %s has left', (version) => {
  const kept = keptOrders(version);
  let dir: string;
  beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'stampede-kept-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('the tables are brought up to this version, with all that was in them', async () => {
    const database = await startPostgres({ migrated: false });
    const client = new pg.Client({ connectionString: database.adminUrl });
    try {
      await restoreDatabase(version, database.adminUrl);
      await migrate({ adminUrl: database.adminUrl, passwords: testPasswords });
      await client.connect();
      const { rows } = await client.query<{ orderNo: string; status: string }>(
        `SELECT order_no AS "orderNo", status::text FROM "order".orders`,
      );
      expect(Object.fromEntries(rows.map(({ orderNo, status }) => [orderNo, status]))).toEqual({
        [kept.paid.orderNo]: 'PAID',
        [kept.cancelled.orderNo]: 'CANCELLED',
        [kept.open.orderNo]: 'PENDING_PAYMENT',
        [kept.due.orderNo]: 'PENDING_PAYMENT',
      });
      const sold = await client.query(
        `SELECT t.id, t.sold, count(l.id)::int AS movements FROM stock.ticket_types AS t
         JOIN stock.sessions AS s ON s.id = t.session_id JOIN stock.ledger AS l ON l.ticket_type_id = t.id
         GROUP BY t.id`,
      );
      // Four deductions, a confirmation, a roll-back, and the first SYNC.
      expect(sold.rows).toEqual([{ id: kept.ticketTypeId, sold: 3, movements: 7 }]);
      const again = await migrate({ adminUrl: database.adminUrl, passwords: testPasswords });
      expect(again).toEqual([]);
    } finally {
      await client.end();
      await database.stop();
    }
  }, 60_000);

  it('the journal is opened: what was settled stays so, and the timer that ran out fires', async () => {
    unpackDirectory(keptPath(version, 'broker.tar.gz'), dir);
    const broker = await EmbeddedBroker.open({ dir });
    try {
      const port = broker.connect('upgraded');
      const fired: (string | undefined)[] = [];
      await port.subscribe(
        {
          group: 'order.expire-unpaid',
          topics: [{ topic: PaymentTimeout.topic, tags: [PaymentTimeout.tag] }],
        },
        async (batch) => {
          for (const delivery of batch) {
            fired.push(delivery.message.key);
            await delivery.ack();
          }
        },
      );
      await eventually(
        async () => (fired.includes(kept.due.orderNo) ? true : undefined),
        5_000,
        () => `fired: ${fired.join(', ')}`,
      );
      // The open order's own comes a month after it was kept; those of the others were recalled, or are done.
      expect(fired.filter((orderNo) => orderNo !== kept.open.orderNo)).toEqual([kept.due.orderNo]);
      await port.close();
    } finally {
      await broker.close();
    }
  }, 30_000);
});
