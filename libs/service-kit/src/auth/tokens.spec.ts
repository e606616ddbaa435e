import { describe, expect, test } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { decodeProtectedHeader, SignJWT, UnsecuredJWT } from 'jose';
import { HttpProblem } from '../problem/problem.js';
import { signToken, verifyToken } from './tokens.js';

const SECRET = 'a secret of thirty-two characters';
const key = new TextEncoder().encode(SECRET);
/** Of a token that is right. */
const PAYLOAD = JSON.stringify({ sub: 'u1', exp: Math.floor(Date.now() / 1000) + 60 });

function refusal(token: string): unknown {
  try {
    return verifyToken(token, [SECRET]);
  } catch (error) {
    return error;
  }
}

/** As somebody else mints it who has the secret: with another library, and without a `kid`. */
const minted = (claims: object, header: object = {}): SignJWT =>
  new SignJWT({ sub: 'u1', ...claims }).setProtectedHeader({ alg: 'HS256', ...header });

/** A token whose signature is right, whatever it says. */
async function raw(header: object, payload: string): Promise<string> {
  const signed = [JSON.stringify(header), payload]
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

describe('tokens', () => {
  test('a signed token names its user and roles', async () => {
    const token = signToken({ sub: 'u1', roles: ['admin'], expiresInSeconds: 60 }, SECRET);
    expect(verifyToken(token, [SECRET])).toEqual({ userId: 'u1', roles: ['admin'] });
  });

  test('a token without roles is that of an ordinary user', async () => {
    const token = await minted({}).setExpirationTime('1h').sign(key);
    expect(verifyToken(token, [SECRET])).toEqual({ userId: 'u1', roles: [] });
  });

  test.each([
    ['unsigned', async () => new UnsecuredJWT({}).setSubject('u1').encode()],
    ['signed by another algorithm', () => minted({}, { alg: 'HS512' }).setExpirationTime('1h').sign(key)],
    [
      'signed with another secret',
      () => signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, `${SECRET}!`),
    ],
    ['expired', () => signToken({ sub: 'u1', roles: [], expiresInSeconds: -60 }, SECRET)],
    ['without a subject', () => minted({ sub: undefined }).setExpirationTime('1h').sign(key)],
    ['without an end', () => minted({}).setIssuedAt().sign(key)],
    ['valid for longer than ninety days', () => minted({}).setExpirationTime('91d').sign(key)],
    [
      'at the end of a life longer than that',
      () =>
        minted({})
          .setIssuedAt(new Date(Date.now() - 90 * 86_400_000))
          .setExpirationTime('1h')
          .sign(key),
    ],
    [
      'issued in the future, to look younger',
      () => minted({}).setIssuedAt('200d').setExpirationTime('220d').sign(key),
    ],
    [
      'with an endless subject',
      () => signToken({ sub: 'u'.repeat(129), roles: [], expiresInSeconds: 60 }, SECRET),
    ],
    [
      'with a subject that no database and no log line can hold',
      () => signToken({ sub: 'u1\0\n', roles: [], expiresInSeconds: 60 }, SECRET),
    ],
    ['not a token', async () => 'abc.def.ghi'],
    ['valid later', () => minted({}).setExpirationTime('2h').setNotBefore('1h').sign(key)],
    ['with an expiry that is no time', () => raw({ alg: 'HS256' }, '{"sub":"u1","exp":"never"}')],
    [
      'with an extension that nobody here understands',
      () => raw({ alg: 'HS256', crit: ['x'], x: 1 }, PAYLOAD),
    ],
    ['signed over something that is no object', () => raw({ alg: 'HS256' }, '["u1"]')],
    ['signed right under a header that names no algorithm', () => raw({ alg: 'none' }, PAYLOAD)],
    ['spelt in another way', async () => `${await raw({ alg: 'HS256' }, PAYLOAD)}=`],
    ['followed by a fourth part', async () => `${await raw({ alg: 'HS256' }, PAYLOAD)}.x`],
  ])('a token that is %s is refused', async (_what, make) => {
    const error = refusal(await make());
    expect(error).toBeInstanceOf(HttpProblem);
    expect(error).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });

  test('an empty secret signs nothing', async () => {
    expect(() => signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, '')).toThrow();
    const token = await raw({ alg: 'HS256' }, PAYLOAD);
    expect(() => verifyToken(token, [''])).toThrow();
  });
});

describe('a secret that was rotated', () => {
  const NEW = 'another secret of thirty-two characters';
  const ofOld = signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, SECRET);

  test('still verifies while it is listed, whatever a token says of its key', async () => {
    for (const token of [
      ofOld,
      await minted({}).setExpirationTime('1h').sign(key),
      await minted({}, { kid: 'mine' }).setExpirationTime('1h').sign(key),
    ]) {
      expect(verifyToken(token, [NEW, SECRET])).toMatchObject({ userId: 'u1' });
      expect(() => verifyToken(token, [NEW])).toThrow();
    }
  });

  test('leaves tokens that name their key to that key', () => {
    const ofNew = signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, NEW);
    const kids = [ofOld, ofNew].map((token) => decodeProtectedHeader(token).kid);
    expect(new Set(kids).size).toBe(2);
    expect(verifyToken(ofNew, [NEW, SECRET])).toMatchObject({ userId: 'u1' });
    expect(verifyToken(ofNew, [SECRET, NEW])).toMatchObject({ userId: 'u1' });
  });

  test('does not hide why a token of it is refused', () => {
    const token = signToken({ sub: 'u1', roles: [], expiresInSeconds: -60 }, SECRET);
    expect(() => verifyToken(token, [NEW, SECRET])).toThrow(/expired/);
  });
});
