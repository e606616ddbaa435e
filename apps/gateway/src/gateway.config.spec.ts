import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '#libs/service-kit';
import { GatewayConfig } from './gateway.config.js';

const load = (env: Record<string, string>): GatewayConfig => loadConfig(GatewayConfig, env);

describe('proxies that are trusted', () => {
  test('are none by default', () => {
    expect(load({}).TRUSTED_PROXIES).toEqual([]);
  });

  test('are addresses, networks and the names of networks', () => {
    const TRUSTED_PROXIES = '10.0.0.0/8, 192.0.2.7,2001:db8::/32,loopback';
    expect(load({ TRUSTED_PROXIES }).TRUSTED_PROXIES).toHaveLength(4);
  });

  test.each(['nonsense', '10.0.0.0/33', '*', 'true'])('are not %s', (TRUSTED_PROXIES) => {
    expect(() => load({ TRUSTED_PROXIES })).toThrow(/TRUSTED_PROXIES: must be addresses or networks/);
  });
});

test('phones are at home in a country that exists', () => {
  expect(load({}).PHONE_REGION).toBe('DE');
  expect(load({ PHONE_REGION: 'US' }).PHONE_REGION).toBe('US');
  expect(() => load({ PHONE_REGION: 'XX' })).toThrow(/PHONE_REGION: must be the two letters/);
});

test('the secret behind user ids is long in production', () => {
  const env = { NODE_ENV: 'production', IDENTITY_SECRET: 'short' };
  expect(() => load(env)).toThrow(/IDENTITY_SECRET: must have at least 32 characters/);
});
