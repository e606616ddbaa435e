import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { ConfigError, loadConfig, ServiceConfig } from './config.js';

describe('configuration', () => {
  test('a wrong value is named on one line', () => {
    const load = (): unknown => loadConfig(ServiceConfig, { JWT_SECRET: 's', PORT: 'eighty' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(/^wrong configuration: PORT: [^\n]+$/);
  });

  test('every missing variable is named at once', () => {
    const schema = z.object({ SMTP_URL: z.url(), LIMIT: z.coerce.number() });
    expect(() => loadConfig(schema, {})).toThrow(/SMTP_URL.*LIMIT/);
  });

  test('an empty variable counts as absent', () => {
    expect(loadConfig(ServiceConfig, { JWT_SECRET: 's', HOST: '', DATABASE_URL: '' })).toMatchObject({
      HOST: '127.0.0.1',
      BROKER: 'embedded',
    });
  });

  test('production refuses a secret that can be guessed', () => {
    const env = { NODE_ENV: 'production', JWT_SECRET: 'short' };
    expect(() => loadConfig(ServiceConfig, env)).toThrow(/JWT_SECRET: must have at least 32 characters/);
    const long = { ...env, JWT_SECRET: 'x'.repeat(32) };
    expect(loadConfig(ServiceConfig, long).JWT_SECRET).toHaveLength(32);
    expect(() =>
      loadConfig(ServiceConfig, { ...long, JWT_SECRET_PREVIOUS: `${'y'.repeat(32)},short` }),
    ).toThrow(/JWT_SECRET_PREVIOUS: must have at least 32 characters/);
  });

  test('the refusal does not repeat the value of a secret', () => {
    const load = (): unknown =>
      loadConfig(ServiceConfig, { JWT_SECRET: 's', REDIS_URL: 'http://user:hunter2@host' });
    expect(load).toThrow(/REDIS_URL/);
    expect(load).not.toThrow(/hunter2/);
  });
});
