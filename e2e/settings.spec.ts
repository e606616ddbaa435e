import { readdirSync, readFileSync } from 'node:fs';
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
