import { describe, expect, test } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { HttpProblem } from '../problem/problem.js';
import { signToken, verifyToken } from './tokens.js';

const SECRET = 'a secret of thirty-two characters';
const key = new TextEncoder().encode(SECRET);

function refusal(token: string): unknown {
  try {
    return verifyToken(token, SECRET);
  } catch (error) {
    return error;
  }
}

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
    expect(verifyToken(token, SECRET)).toEqual({ userId: 'u1', roles: ['admin'] });
  });

  test('a token without roles or expiry is that of an ordinary user', async () => {
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject('u1').sign(key);
    expect(verifyToken(token, SECRET)).toEqual({ userId: 'u1', roles: [] });
  });

  test.each([
    ['unsigned', async () => new UnsecuredJWT({}).setSubject('u1').encode()],
    [
      'signed by another algorithm',
      () => new SignJWT({}).setProtectedHeader({ alg: 'HS512' }).setSubject('u1').sign(key),
    ],
    [
      'signed with another secret',
      () => signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, `${SECRET}!`),
    ],
    ['expired', () => signToken({ sub: 'u1', roles: [], expiresInSeconds: -60 }, SECRET)],
    ['without a subject', () => new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(key)],
    [
      'with an endless subject',
      () => signToken({ sub: 'u'.repeat(129), roles: [], expiresInSeconds: 60 }, SECRET),
    ],
    [
      'with a subject that no database and no log line can hold',
      () => signToken({ sub: 'u1\0\n', roles: [], expiresInSeconds: 60 }, SECRET),
    ],
    ['not a token', async () => 'abc.def.ghi'],
    [
      'valid later',
      () => new SignJWT({ sub: 'u1' }).setProtectedHeader({ alg: 'HS256' }).setNotBefore('1h').sign(key),
    ],
    ['with an expiry that is no time', () => raw({ alg: 'HS256' }, '{"sub":"u1","exp":"never"}')],
    [
      'with an extension that nobody here understands',
      () => raw({ alg: 'HS256', crit: ['x'], x: 1 }, '{"sub":"u1"}'),
    ],
    ['signed over something that is no object', () => raw({ alg: 'HS256' }, '["u1"]')],
    ['signed right under a header that names no algorithm', () => raw({ alg: 'none' }, '{"sub":"u1"}')],
    ['spelt in another way', async () => `${await raw({ alg: 'HS256' }, '{"sub":"u1"}')}=`],
    ['followed by a fourth part', async () => `${await raw({ alg: 'HS256' }, '{"sub":"u1"}')}.x`],
  ])('a token that is %s is refused', async (_what, make) => {
    const error = refusal(await make());
    expect(error).toBeInstanceOf(HttpProblem);
    expect(error).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });

  test('an empty secret signs nothing', async () => {
    expect(() => signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, '')).toThrow();
    const token = await raw({ alg: 'HS256' }, '{"sub":"u1"}');
    expect(() => verifyToken(token, '')).toThrow();
  });
});
