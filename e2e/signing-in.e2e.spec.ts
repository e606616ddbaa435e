import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OrderView, SessionResponse } from '#libs/contracts';
import { eventually, ShopClient, type Answer } from './harness/client.js';
import { freePortRange, launchShop } from './harness/shop.js';

const OLD_SECRET = 'e2e-secret-of-last-year-long-enough-for-hs256';
const NEW_SECRET = 'e2e-secret-of-this-year-long-enough-for-hs256';

let dir: string;
let port: number;
let launcher: ChildProcess;
let client: ShopClient;

/** The same data each time. */
async function start(env: { JWT_SECRET: string; JWT_SECRET_PREVIOUS?: string }): Promise<void> {
  launcher = await launchShop({ STAMPEDE_DIR: dir, PORT: String(port), NODE_OPTIONS: '', ...env });
  client = new ShopClient(`http://127.0.0.1:${port}`, env.JWT_SECRET);
}

async function stop(): Promise<void> {
  const ended = once(launcher, 'exit');
  launcher.kill('SIGINT');
  await ended;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-e2e-'));
  port = await freePortRange();
  await start({ JWT_SECRET: OLD_SECRET });
}, 150_000);
afterAll(async () => {
  await stop();
  rmSync(dir, { recursive: true, force: true });
}, 30_000);

/** The code that came last by SMS. */
async function codeFor(phone: string, e164: string, after?: string): Promise<string> {
  expect((await client.call('POST', '/api/auth/codes', { body: { phone } })).status).toBe(202);
  return eventually(
    async () => {
      const { body } = await client.admin<{ items: { text: string }[] }>(
        'GET',
        `/api/ops/mailbox?channel=sms&to=${encodeURIComponent(e164)}`,
      );
      const code = body.items[0]?.text.match(/\b\d{6}\b/)?.[0];
      return code === after ? undefined : code;
    },
    15_000,
    () => `no code came for ${e164}`,
  );
}

const enter = (phone: string, code: string): Promise<Answer<SessionResponse>> =>
  client.call<SessionResponse>('POST', '/api/auth/sessions', { body: { phone, code } });
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('signing in', () => {
  it('leaves a right code good when the broker hangs', async () => {
    const phone = '+4915112340001';
    const code = await codeFor(phone, phone);
    const { broker } = JSON.parse(readFileSync(join(dir, 'pids.json'), 'utf8')) as Record<
      string,
      { pid: number }
    >;
    if (broker === undefined) throw new Error('the broker is not running');
    process.kill(broker.pid, 'SIGSTOP');
    try {
      expect(await enter(phone, code)).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
    const session = await eventually(
      async () => {
        const answer = await enter(phone, code);
        return answer.status === 503 ? undefined : answer;
      },
      15_000,
      () => 'the broker is not back',
    );
    expect(session.status).toBe(201);
  }, 60_000);

  it('gives a buyer their paid order across a new JWT_SECRET, by an old token and by a new one, however they type their phone', async () => {
    const phone = '+4915112340002';
    const first = await codeFor(phone, phone);
    const { userId, token } = (await enter(phone, first)).body;
    const { orderNo } = await client.buy(userId, await client.sell(5));
    await client.pay(userId, orderNo);
    await client.orderIn(userId, orderNo, ['PAID']);

    await stop();
    await start({ JWT_SECRET: NEW_SECRET, JWT_SECRET_PREVIOUS: OLD_SECRET });
    const read = (session: string): Promise<Answer<OrderView>> =>
      client.call<OrderView>('GET', `/api/orders/${orderNo}`, bearer(session));
    expect(await read(token)).toMatchObject({ status: 200, body: { status: 'PAID' } });

    const typed = '0151 12340002';
    const session = await enter(typed, await codeFor(typed, phone, first));
    expect(session).toMatchObject({ status: 201, body: { userId } });
    expect(await read(session.body.token)).toMatchObject({ status: 200, body: { status: 'PAID' } });
    const { body } = await client.call<{ orders: OrderView[] }>(
      'GET',
      '/api/orders',
      bearer(session.body.token),
    );
    expect(JSON.stringify(body)).toContain(orderNo);
    await client.verdictHolds();
  }, 200_000);
});
