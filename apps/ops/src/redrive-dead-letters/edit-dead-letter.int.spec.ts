import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { PrismaClient } from '#prisma/ops';
import { MessagingError, type BrokerPort } from '#libs/messaging';
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

describe('an edit that does not come to be changes no row and is in no audit', () => {
  /** With what the broker says to it. */
  async function edited(offset: number, answer: () => Promise<boolean>, isDead = true): Promise<unknown> {
    const store = new DeadLetterStore(prisma);
    const letter = deadLetterFrom({
      ...{ id: `m${offset}`, topic: '%DLQ%stock.confirm', tag: 'paid', key: undefined, partition: 0, offset },
      ...{ headers: {}, body: Buffer.from('{}'), bornAtMs: 1, storedAtMs: 2, priority: 4 },
    });
    await store.keep([letter]);
    if (!isDead) await prisma.deadLetter.update({ where: { id: letter.id }, data: { status: 'REDRIVEN' } });
    const editDeadLetter = jest.fn(answer);
    const edit = new EditDeadLetter(store, { admin: { editDeadLetter } } as unknown as BrokerPort);
    const audited = await prisma.auditEntry.count();
    const failure = await edit
      .execute(letter.id, { body: 'other' }, 'operator')
      .catch((error: unknown) => error);
    expect(Buffer.from((await store.find(letter.id))?.body ?? []).toString()).toBe('{}');
    expect(await prisma.auditEntry.count()).toBe(audited);
    expect(editDeadLetter).toHaveBeenCalledTimes(isDead ? 1 : 0);
    return failure;
  }

  test('because it was given back or discarded, which the row says', async () => {
    const failure = await edited(1, () => Promise.resolve(true), false);
    expect(failure).toMatchObject({ code: 'DEAD_LETTER_RESOLVED' });
  });

  test('because it was given back or discarded, which the broker says', async () => {
    const failure = await edited(2, () => Promise.resolve(false));
    expect(failure).toMatchObject({ code: 'DEAD_LETTER_RESOLVED' });
  });

  test('because no message may be so', async () => {
    const refused = new MessagingError('INVALID_ARGUMENT', 'a header is too long');
    expect(await edited(3, () => Promise.reject(refused))).toMatchObject({
      ...{ status: 400, code: 'INVALID_REQUEST' },
      message: expect.stringContaining('a header is too long'),
    });
  });

  test('because the broker does not answer', async () => {
    const away = new MessagingError('BROKER_UNAVAILABLE', 'not there');
    expect(await edited(4, () => Promise.reject(away))).toBe(away);
  });
});
