import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BrokerServer, EmbeddedBroker } from '#libs/broker';
import {
  MAX_ACCEPTED_ORDERS,
  AlertList,
  type AuditPage,
  type DeadLetterPage,
  type DeadLetterSummary,
  type DeadLetterView,
  type MessageTraceView,
  type MessagesView,
  type Verdict,
} from '#libs/contracts';
import type { BrokerPort, DeliveredMessage } from '#libs/messaging';
import { RowRetention, signToken, startService, type RunningService } from '#libs/service-kit';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '#libs/service-kit/testing';
import { PrismaClient } from '#prisma/ops';
import { OpsModule } from './ops.module.js';

const SECRET = 'a secret for the tests of ops, long enough';
const GROUP = 'spec.handler';
/** As the trace names it. */
const consumer = { group: GROUP, consumer: 'spec', node: hostname() };

let postgres: TestPostgres;
let redis: TestRedis;
let dir: string;
let broker: EmbeddedBroker;
let server: BrokerServer;
let port: BrokerPort;
let ops: RunningService;
let admin: string;

/** What the group does with a message: handle it, or fail in a way that ends as a dead letter. */
let isFixed = false;
const handled: string[] = [];
const handledBodies = new Map<string, string>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stampede-ops-'));
  [postgres, redis, broker] = await Promise.all([
    startPostgres(),
    startRedis(),
    EmbeddedBroker.open({ dir }),
  ]);
  server = await BrokerServer.listen(broker, { port: 0, token: 'token' });
  Object.assign(process.env, {
    NODE_ENV: 'test',
    LOG_LEVEL: 'silent',
    PORT: '0',
    DATABASE_URL: postgres.url('ops'),
    REDIS_URL: redis.url,
    BROKER_URL: `tcp://127.0.0.1:${server.address.port}`,
    BROKER_TOKEN: 'token',
    JWT_SECRET: SECRET,
  });
  ops = await startService({ name: 'ops', module: OpsModule });
  await ops.consuming;
  admin = signToken({ sub: 'operator', roles: ['admin'], expiresInSeconds: 600 }, SECRET);
  port = broker.connect('spec');
  await port.subscribe({ group: GROUP, topics: [{ topic: 'spec' }] }, async (batch) => {
    for (const delivery of batch) await handle(delivery);
  });
}, 90_000);
afterAll(async () => {
  await ops?.close();
  await port?.close();
  await server?.close();
  await broker?.close();
  await Promise.all([postgres?.stop(), redis?.stop()]);
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

async function handle(delivery: DeliveredMessage): Promise<void> {
  const { message, attempt } = delivery;
  if (isFixed || message.tag !== 'poison') {
    handled.push(message.id);
    handledBodies.set(message.id, Buffer.from(message.body).toString());
    await delivery.ack();
  } else if (attempt === 1) {
    await delivery.retry({ delayMs: 0, error: 'cannot read it' });
  } else {
    await delivery.deadLetter({ reason: 'retries-exhausted', error: 'still cannot read it' });
  }
}

async function call(path: string, options: { method?: string; body?: unknown; token?: string } = {}) {
  const { method = 'GET', body, token = admin } = options;
  const response = await fetch(`${ops.url}/api/ops${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as unknown };
}

async function until<T>(read: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const value = await read();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const send = (id: string, tag: string, body = '{"ticket":1}') =>
  port.send([{ id, topic: 'spec', tag, key: id, headers: { producer: 'spec' }, body: Buffer.from(body) }]);
const deadLetter = (id: string, status: string): Promise<DeadLetterSummary> =>
  until(async () => {
    const { body } = await call(`/dead-letters?group=${GROUP}&status=${status}`);
    return (body as DeadLetterPage).items.find(({ messageId }) => messageId === id);
  });
const alerts = async () => AlertList.parse((await call('/alerts')).body);

describe('ops, from the broker to HTTP', () => {
  test('a poison message ends as a dead letter with its cause, the rest flows, and a redrive after the fix completes it', async () => {
    await send('poison-1', 'poison');
    await send('fine-1', 'fine');
    const { id } = await deadLetter('poison-1', 'DEAD');
    await until(async () => (handled.includes('fine-1') ? true : undefined));

    const view = (await call(`/dead-letters/${id}`)).body as DeadLetterView;
    expect(view).toMatchObject({
      group: GROUP,
      topic: 'spec',
      tag: 'poison',
      key: 'poison-1',
      reason: 'retries-exhausted',
      error: 'still cannot read it',
      bodyEncoding: 'json',
      body: { ticket: 1 },
      headers: { producer: 'spec' },
    });
    expect(view.attempts.map(({ error }) => error)).toContain('cannot read it');
    const firing = await until(async () => (await alerts()).firing[0]);
    expect(firing).toMatchObject({ name: `dead-letters:${GROUP}`, status: 'firing' });
    // By the clock, whatever zone machine and database are in.
    expect(Math.abs(Date.parse(firing.firedAt) - Date.now())).toBeLessThan(30_000);

    isFixed = true;
    expect((await call(`/dead-letters/${id}/redrive`, { method: 'POST' })).status).toBe(202);
    await until(async () => (handled.includes('poison-1') ? true : undefined));
    expect(await deadLetter('poison-1', 'REDRIVEN')).toMatchObject({ id });
    expect(await call(`/dead-letters/${id}/redrive`, { method: 'POST' })).toMatchObject({
      status: 409,
      body: { code: 'DEAD_LETTER_RESOLVED' },
    });
    await until(async () => ((await alerts()).firing.length === 0 ? true : undefined));
    expect((await alerts()).recent[0]).toMatchObject({ status: 'resolved' });
    isFixed = false;
  }, 30_000);

  test('a letter that dies again after its redrive is dead again, with the longer history', async () => {
    await send('poison-2', 'poison');
    const first = await deadLetter('poison-2', 'DEAD');
    await call(`/dead-letters/${first.id}/redrive`, { method: 'POST' });
    const again = await until(async () => {
      const letter = await deadLetter('poison-2', 'DEAD');
      return letter.deadAt > first.deadAt ? letter : undefined;
    });
    expect(again.id).toBe(first.id);
    expect(again.attemptCount).toBeGreaterThan(first.attemptCount);

    expect((await call(`/dead-letters/${again.id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await deadLetter('poison-2', 'DISCARDED')).toMatchObject({ id: first.id });
    expect((await call(`/dead-letters/${again.id}`, { method: 'DELETE' })).status).toBe(409);
    expect(await port.admin.deadLetters(GROUP)).toEqual([]);
  }, 30_000);

  test('a redrive by filter takes all that match, however they look inside, and is noted with who asked', async () => {
    const bodies = ['not JSON', '\0\xff', ''];
    for (const [index, body] of bodies.entries()) await send(`poison-3-${index}`, 'poison', body);
    await Promise.all(bodies.map((_, index) => deadLetter(`poison-3-${index}`, 'DEAD')));
    isFixed = true;
    const filter = { group: GROUP, tag: 'poison' };
    expect(await call('/dead-letters/redrive', { method: 'POST', body: { filter } })).toEqual({
      status: 202,
      body: { count: 3, remaining: 0 },
    });
    await until(async () =>
      handled.filter((id) => id.startsWith('poison-3')).length === 3 ? true : undefined,
    );
    isFixed = false;
    const noted: AuditPage['items'] = [];
    let cursor = '';
    do {
      const page = (await call(`/audit?limit=2${cursor && `&cursor=${cursor}`}`)).body as AuditPage;
      noted.push(...page.items);
      cursor = page.nextCursor ?? '';
    } while (cursor !== '');
    for (const entry of noted.slice(0, 3)) {
      expect(entry).toMatchObject({ actor: 'operator', action: 'dead-letter.redrive' });
      expect(entry.detail).toContain('poison-3-');
    }
    expect(noted.map(({ id }) => Number(id))).toEqual(
      noted.map(({ id }) => Number(id)).sort((a, b) => b - a),
    );
    expect((await call('/audit?cursor=nonsense')).status).toBe(400);
  }, 30_000);

  test('a letter that cannot be handled is edited, then redriven and handled as it was edited', async () => {
    await send('poison-4', 'poison', '{"ticket":');
    const { id } = await deadLetter('poison-4', 'DEAD');
    const edit = (body: object) => call(`/dead-letters/${id}`, { method: 'PATCH', body });
    const edited = await edit({ body: { ticket: 4 }, headers: { mended: 'yes' } });
    expect(edited).toMatchObject({
      status: 200,
      body: { id, status: 'DEAD', bodyEncoding: 'json', body: { ticket: 4 }, headers: { mended: 'yes' } },
    });
    expect((await call(`/dead-letters/${id}`)).body).toEqual(edited.body);
    const notBase64 = { bodyEncoding: 'base64', body: 'no base64!' };
    const refusals = [
      {},
      { bodyEncoding: 'text', body: 5 },
      notBase64,
      { other: 1 },
      { headers: { a: '\0' } },
    ];
    for (const wrong of refusals)
      expect(await edit(wrong)).toMatchObject({ status: 400, body: { code: 'INVALID_REQUEST' } });
    const [newest] = ((await call('/audit?limit=1')).body as AuditPage).items;
    expect(newest).toMatchObject({ actor: 'operator', action: 'dead-letter.edit', subject: id });
    expect(newest?.detail).toMatch(/poison-4: body, headers$/);

    const dryRun = { filter: { group: GROUP }, dryRun: true };
    const wouldBe = await call('/dead-letters/redrive', { method: 'POST', body: dryRun });
    expect(wouldBe.body).toEqual({ count: 1 });
    expect(await deadLetter('poison-4', 'DEAD')).toMatchObject({ id });

    isFixed = true;
    const paced = { filter: { group: GROUP }, ratePerSecond: 5 };
    const redriven = await call('/dead-letters/redrive', { method: 'POST', body: paced });
    expect(redriven.body).toEqual({ count: 1, remaining: 0 });
    await until(async () => (handled.includes('poison-4') ? true : undefined));
    isFixed = false;
    expect(handledBodies.get('poison-4')).toBe('{"ticket":4}');
    expect(await edit({ body: 1 })).toMatchObject({ status: 409, body: { code: 'DEAD_LETTER_RESOLVED' } });
    const unknown = await call('/dead-letters/unknown', { method: 'PATCH', body: { body: 1 } });
    expect(unknown).toMatchObject({ status: 404, body: { code: 'DEAD_LETTER_NOT_FOUND' } });
  }, 30_000);

  test('groups are listed, and one that is reset gets its messages again', async () => {
    const { body } = await call('/groups');
    expect(body).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ group: GROUP, lag: 0, retrying: 0, deadLetters: 0 }),
      ]),
    );
    isFixed = true;
    const before = handled.filter((id) => id === 'fine-1').length;
    const reset = await call(`/groups/${GROUP}/reset`, { method: 'POST', body: { to: 'earliest' } });
    expect(reset.status).toBe(202);
    await until(async () => (handled.filter((id) => id === 'fine-1').length > before ? true : undefined));
    isFixed = false;
    const nowhere = { to: { partition: 99_999, offset: 0 } };
    expect(await call(`/groups/${GROUP}/reset`, { method: 'POST', body: nowhere })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_REQUEST' },
    });
    expect(await call('/groups/nobody/reset', { method: 'POST', body: { to: 'earliest' } })).toMatchObject({
      status: 404,
      body: { code: 'GROUP_NOT_FOUND' },
    });
  }, 30_000);

  test('a message tells its life', async () => {
    const { body } = await call('/messages/poison-1/trace');
    const { steps } = body as MessageTraceView;
    expect(steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining(['stored', 'delivered', 'retried', 'dead-lettered', 'redriven', 'acked']),
    );
    for (const what of ['delivered', 'retried', 'dead-lettered', 'acked'])
      expect(steps).toContainEqual(expect.objectContaining({ step: what, ...consumer }));
  });

  test('the messages of a key tell their lives', async () => {
    const { body } = await call('/messages?key=fine-1&topic=spec');
    const { items } = body as MessagesView;
    expect(items).toMatchObject([{ messageId: 'fine-1', topic: 'spec', offset: expect.any(Number) }]);
    expect(items[0]?.steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining(['stored', 'delivered', 'acked']),
    );
    expect(items[0]?.steps).toContainEqual(expect.objectContaining({ step: 'acked', ...consumer }));
    expect(((await call('/messages?key=fine-1')).body as MessagesView).items).toEqual(items);
    expect((await call('/messages?key=fine-1&topic=unknown')).body).toEqual({ items: [] });
    for (const wrong of ['', '?key=', '?key=a&tag=b'])
      expect((await call(`/messages${wrong}`)).status).toBe(400);
  });

  test('what is odd about a payment is an alert for an operator, once per event', async () => {
    const anomaly = { eventId: 'e', kind: 'dispute', paymentId: 'p', recordedAt: new Date().toISOString() };
    const message = {
      topic: 'payment',
      tag: 'anomaly',
      key: 'e',
      body: Buffer.from(JSON.stringify(anomaly)),
    };
    await port.send([message, message]);
    const mine = async () =>
      (await alerts()).firing.filter(({ name }) => name.startsWith('payment-anomaly:'));
    const raised = await until(async () => ((await mine()).length > 0 ? mine() : undefined));
    expect(raised).toMatchObject([{ name: 'payment-anomaly:dispute:e', status: 'firing', count: 1 }]);
  });

  test('the verdict holds over an empty shop', async () => {
    const verdict = await until(async () => {
      const answer = (await call('/verdict')).body as Verdict;
      return answer.ok ? answer : undefined;
    });
    expect(verdict.checks).toHaveLength(8);
    expect(await call('/verdict/accepted', { method: 'POST', body: { orderNos: ['a', 'b'] } })).toEqual({
      status: 200,
      body: { missing: ['a', 'b'] },
    });
    const longest = Array.from({ length: MAX_ACCEPTED_ORDERS }, (_, n) => String(n).padStart(64, '0'));
    const most = await call('/verdict/accepted', { method: 'POST', body: { orderNos: longest } });
    expect(most).toEqual({ status: 200, body: { missing: longest } });
    for (const orderNos of [[], [...longest, 'one more']])
      expect((await call('/verdict/accepted', { method: 'POST', body: { orderNos } })).status).toBe(400);
    expect((await call('/verdict?demand=nonsense')).status).toBe(400);
    const unknown = (await call('/verdict?demand=tt0123456789:5')).body as Verdict;
    expect(unknown.ok).toBe(false);
  }, 30_000);

  test('what was settled long ago is forgotten, what waits for an operator is not', async () => {
    const database = ops.app.get(PrismaClient);
    const longAgo = new Date(Date.now() - 366 * 86_400_000);
    const letter = {
      group: 'retention',
      messageId: 'm',
      topic: 't',
      tag: 't',
      reason: 'rejected',
      error: '',
    };
    const row = { ...letter, attempts: [], headers: {}, body: Buffer.of(), bornAt: longAgo, deadAt: longAgo };
    await database.deadLetter.create({ data: { ...row, id: 'waits', status: 'DEAD' } });
    await database.deadLetter.create({
      data: { ...row, id: 'settled', status: 'DISCARDED', resolvedAt: longAgo },
    });
    const entry = { actor: 'retention', action: 'discard', subject: 's', detail: '' };
    await database.auditEntry.create({ data: { ...entry, at: longAgo } });
    await database.auditEntry.create({ data: entry });
    expect(await ops.app.get(RowRetention).forgetOld()).toBe(2);
    const kept = await database.deadLetter.findMany({ where: { group: 'retention' } });
    expect(kept.map(({ id }) => id)).toEqual(['waits']);
    expect(await database.auditEntry.count({ where: { actor: 'retention' } })).toBe(1);
    await database.deadLetter.deleteMany({ where: { group: 'retention' } });
  });
});
