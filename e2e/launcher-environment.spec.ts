import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

const launcher = (name: string): string =>
  pathToFileURL(join(repositoryRoot(), 'scripts', 'launcher', `${name}.mjs`)).href;

/** What the launcher makes of an environment, or the line with which it refuses it. */
function read(env: Record<string, string>): unknown {
  const program = `
    import { runMain } from '${launcher('prepare')}';
    import { readEnvironment } from '${launcher('environment')}';
    const env = ${JSON.stringify(env)};
    await runMain(() => readEnvironment(env));
    console.log(JSON.stringify(env));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env['PATH'] },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return stderr || JSON.parse(stdout);
}

describe('the environment of npm run shop', () => {
  test('has no empty variables: none makes the repository its data folder, or a store that nobody named', () => {
    const empty = { STAMPEDE_DIR: '', PORT: '', DATABASE_URL: '', REDIS_URL: '', BROKER_URL: '' };
    expect(read({ ...empty, LOG_LEVEL: 'warn' })).toEqual({ LOG_LEVEL: 'warn' });
  });

  test('names addresses that are some', () => {
    const env = {
      DATABASE_URL: 'postgres://owner:pw@db/stampede',
      REDIS_URL: 'rediss://:pw@redis:6380/1',
      BROKER_URL: 'tls://broker:7650',
    };
    expect(read(env)).toEqual(env);
  });

  test.each([
    ['DATABASE_URL', 'owner:hunter2@db:5432'],
    ['DATABASE_URL', 'mysql://owner:hunter2@db/stampede'],
    ['REDIS_URL', 'hunter2@redis:6379'],
    ['REDIS_URL', 'redis:6379'],
    ['BROKER_URL', 'broker:7650'],
  ])('with a wrong %s is refused in one line that does not repeat it', (name, value) => {
    const refusal = read({ [name]: value });
    expect(refusal).toMatch(new RegExp(`^${name} must look like \\S+\\.\n$`));
    expect(refusal).not.toContain('hunter2');
  });

  test.each(['0', '-1', '65501', '3000.5', 'abc'])(
    'with PORT %s is refused in one line before anything is installed',
    (port) => {
      expect(read({ PORT: port })).toBe(`PORT must be a number from 1 to 65500, not "${port}".\n`);
    },
  );

  test('with a broker that the shop has not is refused in one line', () => {
    expect(read({ BROKER: 'rabbit' })).toBe('BROKER must be "embedded", not "rabbit".\n');
  });

  test('with Kafka, which cannot carry the shop yet, is refused in one line, by the option too', () => {
    const line = 'BROKER=kafka is not available yet.\n';
    expect(read({ BROKER: 'kafka' })).toBe(line);
    const shop = join(repositoryRoot(), 'scripts/shop.mjs');
    const { stderr, status } = spawnSync(process.execPath, [shop, '--broker', 'kafka'], { encoding: 'utf8' });
    expect([stderr, status]).toEqual([line, 1]);
  });

  test('shows that npm kept an option that was meant for the shop', () => {
    expect(read({ npm_config_reset: 'true' })).toMatch(
      /^npm kept --reset [^\n]+: npm run shop -- --reset\n$/,
    );
  });
});
