import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { CodeRequested } from '#libs/contracts';
import { GatewayUnderTest, type Answer } from '../testing/gateway-under-test.js';

const SETTINGS = {
  TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8',
  SIGN_IN_CODES_PER_PHONE: '4',
  SIGN_IN_CODES_PER_PHONE_PER_DAY: '5',
  SIGN_IN_CODES_PER_ADDRESS: '10',
  SIGN_IN_CODES_PER_ADDRESS_PER_DAY: '12',
  SIGN_IN_CODES_PER_PREFIX_PER_DAY: '7',
  SIGN_IN_CODES_PER_FOREIGN_COUNTRY_PER_DAY: '6',
  SIGN_IN_WRONG_CODES_PER_ADDRESS: '8',
};

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start(SETTINGS);
}, 30_000);
afterAll(() => gateway?.stop());
beforeEach(() => {
  gateway.broker.sent.length = 0;
});

let nextPhone = 2_000;
/** Each in a range of its own. */
const newPhone = (): string => `+49151${nextPhone++}0000`;
let nextAddress = 0;
const newAddress = (): string => `198.51.${Math.floor(nextAddress / 250)}.${(nextAddress++ % 250) + 1}`;

const post = (path: string, json: object, from: string): Promise<Answer> =>
  gateway.call('POST', path, { json, headers: { 'x-forwarded-for': from } });
const requestCode = (phone: string, from: string): Promise<Answer> =>
  post('/api/auth/codes', { phone }, from);
const enter = (phone: string, code: string, from: string): Promise<Answer> =>
  post('/api/auth/sessions', { phone, code }, from);
const codesOf = (phone: string): string[] =>
  gateway.broker
    .sentOf(CodeRequested)
    .filter(({ payload }) => payload.phone === phone)
    .map(({ payload }) => payload.code);
const wrongFor = (phone: string): string =>
  ['000000', '000001', '000002'].find((code) => !codesOf(phone).includes(code)) ?? '';
const statuses = async (calls: readonly (() => Promise<Answer>)[]): Promise<number[]> => {
  const each: number[] = [];
  for (const call of calls) each.push((await call()).status);
  return each;
};
const times = (n: number, call: () => Promise<Answer>): (() => Promise<Answer>)[] =>
  Array.from({ length: n }, () => call);
const limited = { status: 429, body: { code: 'RATE_LIMITED' } };
const invalid = { status: 401, body: { code: 'CODE_INVALID' } };

describe('codes that are asked for', () => {
  test('by one address for ever new phones end at its limit, and leave other addresses alone', async () => {
    const from = newAddress();
    const answers = await Promise.all(Array.from({ length: 60 }, () => requestCode(newPhone(), from)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(10);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused).toMatchObject(limited);
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(gateway.broker.sentOf(CodeRequested)).toHaveLength(10);
    expect((await requestCode(newPhone(), newAddress())).status).toBe(202);
  });

  test('by one IPv6 customer count together, whatever address of theirs they take', async () => {
    const calls = Array.from(
      { length: 11 },
      (_, n) => () => requestCode(newPhone(), `2001:db8:1:2::${n + 1}`),
    );
    expect((await statuses(calls)).at(-1)).toBe(429);
    expect((await requestCode(newPhone(), '2001:db8:1:3::1')).status).toBe(202);
  });

  test('for one phone end at its limit wherever they come from, and a stranger alone has half of the day’s', async () => {
    const phone = newPhone();
    const stranger = newAddress();
    expect(await statuses(times(4, () => requestCode(phone, stranger)))).toEqual([202, 202, 202, 429]);
    expect((await requestCode(phone, newAddress())).status).toBe(202);
    expect(await requestCode(phone, newAddress())).toMatchObject(limited);
  });

  test('by an owner from where they have signed in before do not end by what strangers do', async () => {
    const phone = newPhone();
    const home = newAddress();
    await requestCode(phone, home);
    expect((await enter(phone, codesOf(phone)[0] ?? '', home)).status).toBe(201);
    await statuses(Array.from({ length: 6 }, () => () => requestCode(phone, newAddress())));
    expect(await requestCode(phone, newAddress())).toMatchObject(limited);
    expect((await requestCode(phone, home)).status).toBe(202);
    expect((await enter(phone, codesOf(phone).at(-1) ?? '', home)).status).toBe(201);
  });

  test('for one range of numbers, and for one country abroad, end at their limits', async () => {
    const range = Array.from({ length: 8 }, (_, n) => () => requestCode(`+491528888000${n}`, newAddress()));
    expect((await statuses(range)).slice(-2)).toEqual([202, 429]);
    const abroad = Array.from({ length: 7 }, (_, n) => () => requestCode(`+4366412${n}1000`, newAddress()));
    expect((await statuses(abroad)).slice(-2)).toEqual([202, 429]);
  });
});

describe('codes that are guessed', () => {
  test('by a stranger leave those of the owner good', async () => {
    const phone = newPhone();
    const [home, stranger] = [newAddress(), newAddress()];
    await requestCode(phone, home);
    for (let n = 0; n < 7; n += 1) {
      expect(await enter(phone, wrongFor(phone), stranger)).toMatchObject(invalid);
    }
    expect((await enter(phone, codesOf(phone)[0] ?? '', home)).status).toBe(201);
  });

  test('from many addresses are five in all, beside five of whoever asked', async () => {
    const phone = newPhone();
    await requestCode(phone, newAddress());
    for (let n = 0; n < 5; n += 1) await enter(phone, wrongFor(phone), newAddress());
    expect(await enter(phone, codesOf(phone)[0] ?? '', newAddress())).toMatchObject(invalid);
  });

  test('in the name of an owner who is elsewhere now: another code, asked for from there, is good', async () => {
    const phone = newPhone();
    const [home, away] = [newAddress(), newAddress()];
    await requestCode(phone, home);
    for (let n = 0; n < 5; n += 1) await enter(phone, wrongFor(phone), newAddress());
    await requestCode(phone, away);
    expect((await enter(phone, codesOf(phone).at(-1) ?? '', away)).status).toBe(201);
  });

  test('by one address at ever new phones end at its limit; right ones do not count', async () => {
    const from = newAddress();
    for (let n = 0; n < 9; n += 1) {
      const phone = newPhone();
      await requestCode(phone, newAddress());
      expect((await enter(phone, codesOf(phone)[0] ?? '', from)).status).toBe(201);
    }
    const guesses = await Promise.all(Array.from({ length: 20 }, () => enter(newPhone(), '123456', from)));
    expect(guesses.filter(({ status }) => status === 401)).toHaveLength(8);
    expect(guesses.find(({ status }) => status === 429)).toMatchObject(limited);
    expect((await enter(newPhone(), '123456', newAddress())).status).toBe(401);
  });
});

describe('the address that counts', () => {
  test('is the last one that a trusted proxy names; what a client writes before it changes nothing', async () => {
    const from = newAddress();
    const spoofed = Array.from(
      { length: 11 },
      () => () => requestCode(newPhone(), `${newAddress()}, ${from}, 10.1.2.3`),
    );
    expect((await statuses(spoofed)).at(-1)).toBe(429);
    expect(await requestCode(newPhone(), from)).toMatchObject(limited);
  });

  test('is one and the same where a proxy names ports beside addresses, and another with each connection', async () => {
    const from = newAddress();
    const calls = Array.from(
      { length: 11 },
      (_, n) => () => requestCode(newPhone(), `${from}:${50_000 + n}, 10.1.2.3:${40_000 + n}`),
    );
    expect((await statuses(calls)).at(-1)).toBe(429);
    expect((await requestCode(newPhone(), `${newAddress()}:50000, 10.1.2.3:40000`)).status).toBe(202);
  });

  test('is that of the connection while no proxy is trusted', async () => {
    const open = await GatewayUnderTest.start({ SIGN_IN_CODES_PER_ADDRESS: '2' });
    try {
      const calls = Array.from(
        { length: 3 },
        () => () =>
          open.call('POST', '/api/auth/codes', {
            json: { phone: newPhone() },
            headers: { 'x-forwarded-for': newAddress() },
          }),
      );
      expect(await statuses(calls)).toEqual([202, 202, 429]);
    } finally {
      await open.stop();
    }
  });
});
