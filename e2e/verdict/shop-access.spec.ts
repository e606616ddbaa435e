import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { jwtVerify } from 'jose';
import { verdictTable } from './ask-verdict.js';
import { jwtSecret, shopUrl, tokenSigner } from './shop-access.js';

describe('where the shop is', () => {
  it('is this machine unless SHOP_URL says otherwise', () => {
    expect(shopUrl({})).toBe('http://127.0.0.1:3000');
    expect(shopUrl({ PORT: '4000' })).toBe('http://127.0.0.1:4000');
    expect(shopUrl({ PORT: '4000', SHOP_URL: 'https://shop.example/' })).toBe('https://shop.example');
  });

  it('is refused by name when it is no URL', () => {
    expect(() => shopUrl({ SHOP_URL: 'shop:3000' })).toThrow('SHOP_URL');
  });
});

describe('the secret', () => {
  it('is the environment’s, else the one of the local run', () => {
    const dir = mkdtempSync(join(tmpdir(), 'stampede-secret-'));
    expect(() => jwtSecret({ STAMPEDE_DIR: dir })).toThrow('set JWT_SECRET');
    writeFileSync(join(dir, 'secrets.json'), '{"jwtSec');
    expect(() => jwtSecret({ STAMPEDE_DIR: dir })).toThrow(/^set JWT_SECRET: \S+ has none$/);
    writeFileSync(join(dir, 'secrets.json'), '{"jwtSecret":"local"}');
    expect(jwtSecret({ STAMPEDE_DIR: dir })).toBe('local');
    expect(jwtSecret({ STAMPEDE_DIR: dir, JWT_SECRET: 'given' })).toBe('given');
  });

  it('signs what a JWT library accepts', async () => {
    const secret = 'a secret that is long enough for everyone';
    const token = tokenSigner(secret)('somebody', ['admin']);
    const { payload } = await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ['HS256'] });
    expect(payload).toMatchObject({ sub: 'somebody', roles: ['admin'] });
  });
});

it('a verdict is told with what breaks it', () => {
  const checks = [
    { name: 'quiet', ok: true, detail: 'no lag' },
    { name: 'conservation', ok: false, detail: 'tt1: not in Redis' },
  ];
  expect(verdictTable({ ok: false, checks })).toBe(
    [
      '  ok    quiet         no lag',
      '  FAIL  conservation  tt1: not in Redis',
      'verdict: DOES NOT HOLD',
    ].join('\n'),
  );
});
