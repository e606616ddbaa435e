import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CodeExpired, CodeRequested, UserRegistered } from '#libs/contracts';
import { identityKeysOf, userIdOf } from '../domain/phone-identity.js';
import { GatewayUnderTest, type Answer } from '../testing/gateway-under-test.js';
import { CodeStore } from './code-store.js';

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({
    SIGN_IN_CODES_PER_PHONE: '3',
    SIGN_IN_CODES_PER_ADDRESS: '100',
  });
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
    const [stored = ''] = Object.values(await gateway.redis.hgetall(`auth:codes:${phone.slice(1)}`));
    expect(JSON.parse(stored)).toMatchObject({ hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(stored.replace(/[0-9a-f]{32,}/g, '')).not.toContain(sentCode().code);
  });

  test('works once, also for ten at once', async () => {
    await requestCode();
    const { code } = sentCode();
    const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(code)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(await signIn(code)).toMatchObject(invalid);
  });

  test('is void after five wrong tries of whoever asked for it', async () => {
    await requestCode();
    const { code } = sentCode();
    for (let tries = 0; tries < 5; tries += 1) expect(await signIn(another(code))).toMatchObject(invalid);
    expect(await signIn(code)).toMatchObject(invalid);
  });

  test('that is wrong registers nobody, and opens nothing where it is unclear whether a code was used up', async () => {
    await requestCode();
    const lost = jest.spyOn(gateway.service.app.get(CodeStore), 'use');
    lost.mockRejectedValueOnce(new Error('Command timed out'));
    expect(await signIn(another(sentCode().code))).toMatchObject(invalid);
    lost.mockRestore();
    expect(gateway.broker.sentOf(UserRegistered)).toEqual([]);
  });

  test('is void after five minutes, even when the message that deletes it is late', async () => {
    await requestCode();
    gateway.clock.aheadMs = 300_000;
    expect(await signIn(sentCode().code)).toMatchObject(invalid);
  });

  test('stays good when another is asked for, which is good too', async () => {
    for (const which of [0, 1]) {
      await requestCode();
      await requestCode();
      const codes = gateway.broker.sentOf(CodeRequested).map(({ payload }) => payload.code);
      expect((await signIn(codes[which] ?? '')).status).toBe(201);
      // Whoever is in needs no other one.
      expect(await signIn(codes[1 - which] ?? '')).toMatchObject(invalid);
      gateway.broker.sent.length = 0;
      phone = `+${nextPhone++}`;
    }
  });

  test('is deleted by the delayed message, which leaves a newer code alone', async () => {
    await requestCode();
    const expiry = gateway.broker.sentOf(CodeExpired)[0];
    expect(expiry?.message.deliverAtMs).toBeGreaterThan(Date.now() + 290_000);
    const first = sentCode();
    await requestCode();
    await gateway.broker.deliver(CodeExpired, { codeId: first.codeId, phone });
    expect(await signIn(first.code)).toMatchObject(invalid);
    expect((await signIn(sentCode().code)).status).toBe(201);

    await requestCode();
    await gateway.broker.deliver(CodeExpired, { codeId: sentCode().codeId, phone });
    expect(await gateway.redis.exists(`auth:codes:${phone.slice(1)}`)).toBe(0);
  });

  test('can be asked for a few times only', async () => {
    for (let n = 0; n < 3; n += 1) expect((await requestCode()).status).toBe(202);
    const refused = await requestCode();
    expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('a sign-in that fails leaves the right code good', () => {
  test('over a broker that hangs', async () => {
    await requestCode();
    gateway.broker.sendMood = 'silent';
    const unavailable = { status: 503, body: { code: 'SERVICE_UNAVAILABLE' } };
    try {
      for (let tries = 0; tries < 6; tries += 1) {
        expect(await signIn(sentCode().code)).toMatchObject(unavailable);
      }
    } finally {
      gateway.broker.sendMood = 'ok';
    }
    let session = await signIn(sentCode().code);
    // Until the gate has found the broker back.
    while (session.status === 503) session = await signIn(sentCode().code);
    expect(session.status).toBe(201);
  });

  test('when the buyer has left before the answer', async () => {
    await requestCode();
    const { code } = sentCode();
    await gateway.redis.call('CLIENT', 'PAUSE', '300');
    await expect(
      fetch(`${gateway.service.url}/api/auth/sessions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ phone, code }),
        signal: AbortSignal.timeout(100),
      }),
    ).rejects.toThrow();
    expect((await signIn(code)).status).toBe(201);
  });

  test('when it is unclear whether the code was used up, the buyer is in', async () => {
    await requestCode();
    const codes = gateway.service.app.get(CodeStore);
    const lost = jest.spyOn(codes, 'use').mockRejectedValueOnce(new Error('Command timed out'));
    expect((await signIn(sentCode().code)).status).toBe(201);
    expect(lost).toHaveBeenCalledTimes(1);
  });
});

test('who is known already is signed in without the broker', async () => {
  await requestCode();
  const first = await signIn(sentCode().code);
  await requestCode();
  gateway.broker.sendMood = 'silent';
  const again = await signIn(sentCode().code);
  gateway.broker.sendMood = 'ok';
  expect(again).toMatchObject({ status: 201, body: { userId: first.body['userId'] } });
});

describe('one phone is one buyer', () => {
  test('in every spelling', async () => {
    const spellings = [
      '+49 151 20000001',
      '0151-20000001',
      '0049 151 20000001',
      '＋４９１５１２００００００１',
    ];
    const users = new Set<unknown>();
    for (const each of spellings) {
      phone = each;
      await requestCode();
      expect(sentCode().phone).toBe('+4915120000001');
      // Entered under another one than it was asked for.
      phone = spellings[0] ?? '';
      const session = await signIn(sentCode().code);
      expect(session.status).toBe(201);
      users.add(session.body['userId']);
    }
    expect(users.size).toBe(1);
  });

  test('who is known by another spelling, from when numbers were taken as they came, stays who they were', async () => {
    const keys = identityKeysOf('a secret of at least thirty-two characters');
    const ofOld = userIdOf('015120000002', keys);
    await gateway.redis.set(`auth:user:${ofOld}`, '2026-01-01T00:00:00.000Z');
    for (const each of ['+4915120000002', '0151 20000002']) {
      phone = each;
      await requestCode();
      expect((await signIn(sentCode().code)).body['userId']).toBe(ofOld);
    }
    expect(gateway.broker.sentOf(UserRegistered)).toEqual([]);
  });

  test('who is known by several has the one that is typed', async () => {
    const keys = identityKeysOf('a secret of at least thirty-two characters');
    for (const each of ['015120000003', '+4915120000003']) {
      const id = userIdOf(each, keys);
      await gateway.redis.set(`auth:user:${id}`, '2026-01-01T00:00:00.000Z');
      phone = each;
      await requestCode();
      expect((await signIn(sentCode().code)).body['userId']).toBe(id);
    }
  });
});

test('a phone nobody asked a code for is answered like a wrong code', async () => {
  expect(await signIn('123456')).toMatchObject(invalid);
});

test('a phone or a code of the wrong form is refused', async () => {
  for (const json of [{}, { phone: 'me' }, { phone: '+49170' }, { phone: '+491701234567', extra: 1 }]) {
    expect((await gateway.call('POST', '/api/auth/codes', { json })).status).toBe(400);
  }
  expect((await gateway.call('POST', '/api/auth/sessions', { json: { phone, code: '12345' } })).status).toBe(
    400,
  );
});

test('over a broker that hangs it is refused in time, and the next ones at once', async () => {
  // It never answers: that this ends is the deadline's doing.
  gateway.broker.sendMood = 'silent';
  const unavailable = { status: 503, body: { code: 'SERVICE_UNAVAILABLE' } };
  const answer = await requestCode();
  expect(answer).toMatchObject(unavailable);
  expect(answer.headers.get('retry-after')).toBe('1');
  phone = `+${nextPhone++}`;
  expect(await requestCode()).toMatchObject(unavailable);
  gateway.broker.sendMood = 'ok';
});
