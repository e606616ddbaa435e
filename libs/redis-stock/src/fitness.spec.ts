import { describe, expect, it, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { COMMANDS, fitnessOf, isTooOld } from './fitness.js';

const info = (fields: Record<string, string> = {}): string =>
  Object.entries({
    redis_version: '7.0.15',
    run_id: 'run',
    server_time_usec: '1763688920000999',
    maxmemory: '0',
    maxmemory_policy: 'noeviction',
    aof_enabled: '1',
    master_replid: 'history',
    ...fields,
  })
    .map(([field, value]) => `${field}:${value}\r\n`)
    .join('');

test('a Redis as it should be is neither refused nor warned of', () => {
  expect(fitnessOf(info(), [])).toEqual({
    runId: 'run:history',
    nowMs: 1_763_688_920_000,
    refusals: [],
    warnings: [],
  });
});

describe('refused, with what to do about it:', () => {
  it.each([
    ['a version before 7', { redis_version: '6.0.16' }, undefined, /is 6\.0\.16.*Debian 11.*packages\.redis/],
    ['one that does not say its version', { redis_version: '' }, undefined, /7\.0 or later/],
    ['commands that cannot be run', {}, ['ZADD', 'HSET'], /run ZADD, HSET.*ACL SETUSER/],
    [
      'one that drops counters when it is full',
      { maxmemory: '1000', maxmemory_policy: 'allkeys-lru' },
      [],
      /allkeys-lru.*noeviction/,
    ],
  ])('%s', (_, fields, denied, line) => {
    expect(fitnessOf(info(fields), denied).refusals).toEqual([expect.stringMatching(line)]);
  });
});

describe('warned of:', () => {
  it.each([
    [
      'a policy that would drop counters, were there a bound',
      { maxmemory_policy: 'allkeys-lru' },
      /noeviction/,
    ],
    [
      'one that drops keys that expire',
      { maxmemory: '1000', maxmemory_policy: 'volatile-ttl' },
      /volatile-ttl.*noeviction/,
    ],
    ['no append-only file', { aof_enabled: '0' }, /appendonly/],
  ])('%s', (_, fields, line) => {
    expect(fitnessOf(info(fields), [])).toMatchObject({
      refusals: [],
      warnings: [expect.stringMatching(line)],
    });
  });
});

test('data that has been a replica of other data is of another run, though its process is the same', () => {
  expect(fitnessOf(info({ master_replid: 'of another' }), []).runId).not.toBe(fitnessOf(info(), []).runId);
});

test.each([
  ['6.2.14', true],
  ['5.0.7', true],
  ['7.0.15', false],
  ['8.2.1', false],
  ['10.0.0', false],
])('%s is too old: %s', (version, tooOld) => {
  expect(isTooOld(info({ redis_version: version }))).toBe(tooOld);
});

test('no script runs a command that is not asked for', () => {
  const folder = new URL('./lua/', import.meta.url);
  const run = readdirSync(folder).flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(/redis\.p?call\('(\w+)'/g)].map(
      ([, name]) => name,
    ),
  );
  expect(run).not.toEqual([]);
  expect([...new Set(run)].filter((name) => !(COMMANDS as readonly string[]).includes(name ?? ''))).toEqual(
    [],
  );
});
