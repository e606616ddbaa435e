import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { loadConfig } from '../libs/service-kit/src/config.js';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

/** Beyond this Node's timers fire at once (node#19015). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Lengths of time that no timer of a service waits for, and how long they may be. */
const NOT_A_TIMER: Readonly<Record<string, { maxMs: number; because: string }>> = {
  PAYMENT_TIMEOUT_MS: { maxMs: 30 * 86_400_000, because: 'the broker keeps delays in its wheel' },
  BROKER_RETENTION_MS: { maxMs: 3_650 * 86_400_000, because: 'an age that is compared' },
  BROKER_DEAD_LETTER_RETENTION_MS: { maxMs: 3_650 * 86_400_000, because: 'an age that is compared' },
  SESSION_TTL_SECONDS: { maxMs: 30 * 86_400_000, because: 'it is written into a token' },
};

const apps = join(repositoryRoot(), 'apps');
const configFiles = readdirSync(apps)
  .flatMap((app) => readdirSync(join(apps, app, 'src')).map((file) => join(apps, app, 'src', file)))
  .concat(join(repositoryRoot(), 'libs/service-kit/src/config.ts'))
  .filter((file) => /config\.ts$/.test(file));

const settings = configFiles.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/^ +([A-Z][A-Z0-9_]*_(?:MS|SECONDS)):/gm)].map(
    ([, name = '']) => [name, file] as const,
  ),
);

/** What a file's schemas say of one variable: every one that knows it must agree. */
async function problemsOf(file: string, name: string, value: number): Promise<string[]> {
  const exported = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  const schemas = Object.values(exported).filter((each) => each instanceof z.ZodType);
  return schemas.flatMap((schema) => {
    try {
      loadConfig(schema, { [name]: String(value) });
      return [];
    } catch (error) {
      return error instanceof Error && error.message.includes(`${name}:`) ? [error.message] : [];
    }
  });
}

describe('every length of time that can be set', () => {
  test('is found', () => {
    const names = settings.map(([name]) => name);
    expect(names).toEqual(
      expect.arrayContaining(['ALERT_INTERVAL_MS', 'REAP_INTERVAL_MS', 'HOLD_TIMEOUT_MS']),
    );
  });

  test.each(settings)('%s is refused by its name when a timer could not wait for it', async (name, file) => {
    const perUnitMs = name.endsWith('_SECONDS') ? 1_000 : 1;
    const tooLong = (NOT_A_TIMER[name]?.maxMs ?? LONGEST_TIMER_MS) + perUnitMs;
    expect(await problemsOf(file, name, Math.floor(tooLong / perUnitMs))).toHaveLength(1);
    expect(await problemsOf(file, name, -1)).toHaveLength(1);
  });
});

/** What compose decides by itself, and why the environment has no say. */
const SET_BY_COMPOSE: Readonly<Record<string, string>> = {
  HOST: 'the image says it',
  BROKER_URL: 'the broker of the same file',
  BROKER_DIR: 'a volume',
  BROKER_PORT: 'within the network of the same file',
  BROKER_TLS_KEY: 'files in the container, which a volume has to bring',
  BROKER_TLS_CERT: 'files in the container, which a volume has to bring',
  REDIS_URL: 'the Redis of the same file',
  DATABASE_URL: 'the PostgreSQL of the same file; its passwords are set',
  MAILBOX_SMTP_PORT: 'within its container',
  ORDER_URL: 'the services of the same file',
  STOCK_URL: 'the services of the same file',
  PAYMENT_URL: 'the services of the same file',
  NOTIFICATION_URL: 'the services of the same file',
  OPS_URL: 'the services of the same file',
};
/** Read by programs that have no schema. */
const OF_NO_SERVICE = [
  'STAMPEDE_DIR',
  ...['POSTGRES', 'ORDER_DB', 'STOCK_DB', 'PAYMENT_DB', 'NOTIFICATION_DB', 'OPS_DB'].map(
    (owner) => `${owner}_PASSWORD`,
  ),
];

const read = (path: string): string => readFileSync(join(repositoryRoot(), path), 'utf8');
const namesIn = (text: string): string[] =>
  [...text.matchAll(/^ +([A-Z][A-Z0-9]*_?[A-Z0-9_]*):/gm)].map(([, name = '']) => name);
/** Of every service, and of those that reconcile. */
const everybodys = namesIn(read('libs/service-kit/src/config.ts'));
const reconcilers = namesIn(read('libs/service-kit/src/reconciliation/reconciliation.ts'));
const settingsOf = (app: string): string[] => {
  const text = read(`apps/${app}/src/${app}.config.ts`);
  const own = namesIn(text);
  if (app === 'broker') return own;
  return [...everybodys, ...own, ...(text.includes('ReconciliationConfig') ? reconcilers : [])];
};
const services = readdirSync(apps).filter((app) => existsSync(join(apps, app, 'src', `${app}.config.ts`)));

describe('the table of settings', () => {
  const cells = [...read('docs/settings.md').matchAll(/^\| (`.+?) +\|/gm)].map(([, cell = '']) => cell);
  const documented = cells.flatMap((cell) => {
    const names = [...cell.matchAll(/`(…?[A-Z][A-Z0-9_]+|…_[A-Z_]+)`/g)].map(([, name = '']) => name);
    return names.map((name) => name.replace('…', names[0] ?? ''));
  });

  test('names each once', () => {
    expect(documented.filter((name, at) => documented.indexOf(name) !== at)).toEqual([]);
  });

  test.each(services)('has all that %s reads', (app) => {
    expect(settingsOf(app).filter((name) => !documented.includes(name))).toEqual([]);
  });

  test('has nothing that nobody reads', () => {
    const known = new Set(services.flatMap(settingsOf).concat(OF_NO_SERVICE));
    expect(documented.filter((name) => !known.has(name))).toEqual([]);
  });

  test.each(services)('is the only one: none in the README of %s', (app) => {
    expect(read(`apps/${app}/README.md`)).not.toMatch(/^\| *(variable|`[A-Z][A-Z_]+`)/m);
  });

  test.each(services)('can be set for compose’s %s, but for what compose decides', (app) => {
    const compose = read('docker-compose.yml');
    const [common = ''] = /^x-environment:[^]+?\n\n/m.exec(compose) ?? [];
    const [own = ''] = new RegExp(`^  ${app}:\n[^]+?\n\n`, 'm').exec(compose) ?? [];
    const isPassed = (name: string): boolean => `${common}${own}`.includes(`\${${name}:-`);
    const forgotten = settingsOf(app).filter((name) => !isPassed(name) && !(name in SET_BY_COMPOSE));
    // The port within the container is not the published one.
    expect(forgotten.filter((name) => name !== 'PORT')).toEqual([]);
    expect(own).not.toBe('');
  });
});
