import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { CodeExpired, CodeRequested, UserRegistered } from '#libs/contracts';
import { GatewayUnderTest, type Answer } from '../testing/gateway-under-test.js';

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({ SIGN_IN_CODES_PER_PHONE: '3' });
}, 30_000);
afterAll(() => gateway?.stop());

let phone: string;
let nextPhone = 491_700_000_000;
beforeEach(() => {
  phone = `+${nextPhone++}`;
  gateway.broker.sent.length = 0;
  gateway.clock.aheadMs = 0;
});

const requestCode = (): Promise<Answer> => gateway.call('POST', '/api/auth/codes', { json: { phone } });
const signIn = (code: string): Promise<Answer> =>
  gateway.call('POST', '/api/auth/sessions', { json: { phone, code } });
const sentCode = (): CodeRequested => {
  const sent = gateway.broker.sentOf(CodeRequested).at(-1);
  if (sent === undefined) throw new Error('no code was sent');
  return sent.payload;
};
const another = (code: string): string => (code === '000000' ? '000001' : '000000');
const invalid = { status: 401, body: { code: 'CODE_INVALID' } };

describe('a sign-in code', () => {
  test('opens a session for one and the same user every time, and registers the user once', async () => {
    const users: unknown[] = [];
    for (let n = 0; n < 2; n += 1) {
      expect((await requestCode()).status).toBe(202);
      const session = await signIn(sentCode().code);
      expect(session.status).toBe(201);
      users.push(session.body['userId']);
      const headers = { authorization: `Bearer ${String(session.body['token'])}` };
      gateway.upstream.answer = () => ({ status: 200, json: { orders: [] } });
      expect(
        (await gateway.call('GET', '/api/orders/0123456789-0123456789abcdef', { headers })).status,
      ).not.toBe(401);
    }
    expect(users[0]).toBe(users[1]);
    expect(gateway.broker.sentOf(UserRegistered).map(({ payload }) => payload)).toEqual([
      { userId: users[0], phone, registeredAt: expect.any(String) },
    ]);
  });

  test('is stored as a hash only', async () => {
    await requestCode();
    const stored = await gateway.redis.hgetall(`auth:code:${phone.slice(1)}`);
    expect(stored['hash']).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(stored)).not.toContain(sentCode().code);
  });

  test('works once, also for ten at once', async () => {
    await requestCode();
    const { code } = sentCode();
    const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(code)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(await signIn(code)).toMatchObject(invalid);
  });

  test('is void after five wrong tries', async () => {
    await requestCode();
    const { code } = sentCode();
    for (let tries = 0; tries < 5; tries += 1) expect(await signIn(another(code))).toMatchObject(invalid);
    expect(await signIn(code)).toMatchObject(invalid);
  });

  test('is void after five minutes, even when the message that deletes it is late', async () => {
    await requestCode();
    gateway.clock.aheadMs = 300_000;
    expect(await signIn(sentCode().code)).toMatchObject(invalid);
  });

  test('is deleted by the delayed message, which leaves a newer code alone', async () => {
    await requestCode();
    const expiry = gateway.broker.sentOf(CodeExpired)[0];
    expect(expiry?.message.deliverAtMs).toBeGreaterThan(Date.now() + 290_000);
    const first = sentCode();
    await requestCode();
    await gateway.broker.deliver(CodeExpired, { codeId: first.codeId, phone });
    expect((await signIn(sentCode().code)).status).toBe(201);

    await requestCode();
    await gateway.broker.deliver(CodeExpired, { codeId: sentCode().codeId, phone });
    expect(await gateway.redis.exists(`auth:code:${phone.slice(1)}`)).toBe(0);
  });

  test('can be asked for a few times only', async () => {
    for (let n = 0; n < 3; n += 1) expect((await requestCode()).status).toBe(202);
    const refused = await requestCode();
    expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

test('a phone nobody asked a code for is answered like a wrong code', async () => {
  expect(await signIn('123456')).toMatchObject(invalid);
});

test('a phone or a code of the wrong form is refused', async () => {
  for (const json of [{}, { phone: 'me' }, { phone: '+49170', extra: 1 }]) {
    expect((await gateway.call('POST', '/api/auth/codes', { json })).status).toBe(400);
  }
  expect((await gateway.call('POST', '/api/auth/sessions', { json: { phone, code: '12345' } })).status).toBe(
    400,
  );
});

test('over a broker that hangs it is refused in time, and the next ones at once', async () => {
  gateway.broker.sendMood = 'silent';
  const askedAtMs = Date.now();
  const unavailable = { status: 503, body: { code: 'SERVICE_UNAVAILABLE' } };
  const answer = await requestCode();
  expect(answer).toMatchObject(unavailable);
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(Date.now() - askedAtMs).toBeLessThan(2_000);
  phone = `+${nextPhone++}`;
  expect(await requestCode()).toMatchObject(unavailable);
  gateway.broker.sendMood = 'ok';
});
