import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import type { BrokerPort } from '#libs/messaging';
import { openDatabase } from '#libs/service-kit';
import { startPostgres, type TestPostgres } from '#libs/service-kit/testing';
import { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import { deadLetterFrom } from '../domain/dead-letter.js';
import { EditDeadLetter } from './edit-dead-letter.js';

let postgres: TestPostgres;
let prisma: PrismaClient;
beforeAll(async () => {
  postgres = await startPostgres();
  prisma = openDatabase(PrismaClient, {
    ...{ url: postgres.url('ops'), schema: 'ops', logger: pino({ level: 'silent' }) },
  });
}, 60_000);
afterAll(async () => {
  await prisma?.$disconnect();
  await postgres?.stop();
});

test('of two edits of a letter at once, operators see the one that the broker will give back', async () => {
  const store = new DeadLetterStore(prisma);
  const letter = deadLetterFrom({
    ...{ id: 'm', topic: '%DLQ%stock.confirm', tag: 'paid', key: undefined, partition: 0, offset: 0 },
    ...{ headers: {}, body: Buffer.from('{}'), bornAtMs: 1, storedAtMs: 2, priority: 4 },
  });
  await store.keep([letter]);
  let kept = '';
  let second: Promise<unknown> | undefined;
  const edit = new EditDeadLetter(store, {
    admin: {
      editDeadLetter: async (_group: string, _id: string, { body }: { body: Uint8Array }) => {
        kept = Buffer.from(body).toString();
        if (kept !== '"first"') return true;
        // The answer to the first is late; a second that does not wait for it is done by then.
        second = edit.execute(letter.id, { body: 'second' }, 'operator');
        await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 300))]);
        return true;
      },
    },
  } as unknown as BrokerPort);
  await edit.execute(letter.id, { body: 'first' }, 'operator');
  await second;
  expect(kept).toBe('"second"');
  expect(Buffer.from((await store.find(letter.id))?.body ?? []).toString()).toBe(kept);
  expect(await prisma.auditEntry.count()).toBe(2);
});
