import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

// A path in a variable: the launcher is plain JavaScript, outside what the compiler reads.
const module = '../scripts/launcher/secrets.mjs';
const { loadSecrets } = (await import(module)) as {
  loadSecrets: (dir: string, brokerUrl: string) => Record<string, string>;
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-secrets-'));
  for (const name of ['JWT_SECRET', 'IDENTITY_SECRET']) delete process.env[name];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const start = (env: Record<string, string> = {}): Record<string, string> => {
  Object.assign(process.env, env);
  try {
    return loadSecrets(dir, 'tcp://127.0.0.1:7650');
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
  }
};
const stored = (): unknown => JSON.parse(readFileSync(join(dir, 'secrets.json'), 'utf8'));

describe('the secret behind user ids', () => {
  test('stays when JWT_SECRET is changed, and changed again', () => {
    const { identitySecret } = start({ JWT_SECRET: 'one' });
    expect(start({ JWT_SECRET: 'two' })).toMatchObject({ jwtSecret: 'two', identitySecret });
    expect(start({ JWT_SECRET: 'three' })).toMatchObject({ jwtSecret: 'three', identitySecret });
    expect(stored()).toMatchObject({ identitySecret });
  });

  test('is the JWT secret of a shop that knew no other, also when that changes with this very start', () => {
    writeFileSync(join(dir, 'secrets.json'), '{"jwtSecret":"of old"}');
    expect(start({ JWT_SECRET: 'new' })).toMatchObject({ jwtSecret: 'new', identitySecret: 'of old' });
  });

  test('is made up for a new shop, apart from the one that signs tokens', () => {
    const { identitySecret, jwtSecret } = start();
    expect(identitySecret).toMatch(/^[0-9a-f]{64}$/);
    expect(jwtSecret).not.toBe(identitySecret);
    expect(start()).toMatchObject({ identitySecret, jwtSecret });
  });
});
