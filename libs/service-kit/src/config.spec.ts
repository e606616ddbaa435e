import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { repositoryRoot } from './testing/repository-root.js';
import { ConfigError, loadConfig, ServiceConfig } from './config.js';

describe('configuration', () => {
  test('a wrong value is named on one line', () => {
    const load = (): unknown => loadConfig(ServiceConfig, { JWT_SECRET: 's', PORT: 'eighty' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(/^wrong configuration: PORT: [^\n]+$/);
  });

  test('a wrong value is told in words of the setting', () => {
    const load = (env: Record<string, string>) => (): unknown =>
      loadConfig(ServiceConfig, { JWT_SECRET: 's', ...env });
    expect(load({ DRAIN_MS: '30min' })).toThrow(/: DRAIN_MS: must be a number$/);
    for (const BROKER_URL of ['localhost:7650', 'http://localhost:7650', 'tcp://localhost']) {
      expect(load({ BROKER_URL })).toThrow(/: BROKER_URL: must be tcp:\/\/host:port or tls:\/\/host:port$/);
    }
    expect(load({ BROKER_URL: 'tls://[::1]:7650' })).not.toThrow();
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

  test('production refuses the secrets that docker-compose.yml publishes, each by its name', () => {
    const compose = readFileSync(join(repositoryRoot(), 'docker-compose.yml'), 'utf8');
    const published = [...compose.matchAll(/\$\{([A-Z_]+):-(local-only[^}]*)\}/g)];
    const [, , jwt = ''] = published.find(([, name]) => name === 'JWT_SECRET') ?? [];
    const [, , token = ''] = published.find(([, name]) => name === 'BROKER_TOKEN') ?? [];
    const [, , password = ''] = published.find(([, name]) => name === 'ORDER_DB_PASSWORD') ?? [];
    // A secret that compose gives a default to is recognised by how that begins.
    expect(compose.match(/\$\{[A-Z_]*(SECRET|PASSWORD|TOKEN):-(?!local-only)[^}]/g)).toBeNull();
    const env = {
      JWT_SECRET: jwt,
      BROKER_TOKEN: token,
      DATABASE_URL: `postgresql://stampede_order:${password}@postgres:5432/stampede`,
    };
    expect(loadConfig(ServiceConfig, env)).toMatchObject(env);
    for (const [name, value] of Object.entries(env)) {
      const own = { NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32), [name]: value };
      expect(() => loadConfig(ServiceConfig, own)).toThrow(
        new RegExp(`^wrong configuration: ${name}: is the one published in docker-compose.yml[^;]*$`),
      );
    }
  });

  test('the refusal does not repeat the value of a secret', () => {
    const load = (): unknown =>
      loadConfig(ServiceConfig, { JWT_SECRET: 's', REDIS_URL: 'http://user:hunter2@host' });
    expect(load).toThrow(/REDIS_URL/);
    expect(load).not.toThrow(/hunter2/);
  });
});
