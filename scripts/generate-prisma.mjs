// Generates the Prisma clients that are out of date into prisma/generated, all at once.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(join(root, 'package.json'));
const cli = join(dirname(require.resolve('prisma/package.json')), 'build', 'index.js');
const prismaVersion = require('prisma/package.json').version;
const run = promisify(execFile);

const env = {
  ...process.env,
  PRISMA_HIDE_UPDATE_MESSAGE: '1',
  CHECKPOINT_DISABLE: '1',
  // `generate` never starts this binary, but would download it; any program that exists will do.
  ...(process.env.PRISMA_SCHEMA_ENGINE_BINARY === undefined && existsSync('/bin/true')
    ? { PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true' }
    : {}),
};

async function generate(schema) {
  const name = basename(schema, '.prisma');
  const output = join(root, 'prisma', 'generated', name);
  const stamp = join(output, '.schema-hash');
  const hash = createHash('sha256')
    .update(prismaVersion)
    .update(await readFile(schema))
    .digest('hex');
  const before = await readFile(stamp, 'utf8').catch(() => undefined);
  if (before === hash && existsSync(join(output, 'client.ts'))) return undefined;
  await run(process.execPath, [cli, 'generate', '--schema', schema, '--no-hints'], { cwd: root, env });
  await writeFile(stamp, hash);
  return name;
}

const folder = join(root, 'prisma', 'schema');
const schemas = (await readdir(folder)).filter((name) => name.endsWith('.prisma')).sort();
const results = await Promise.allSettled(schemas.map((name) => generate(join(folder, name))));
for (const [index, result] of results.entries()) {
  if (result.status === 'fulfilled') continue;
  process.stderr.write(`${schemas[index]}: ${result.reason.stderr || result.reason.message}\n`);
  process.exitCode = 1;
}
const generated = results.flatMap(({ value }) => value ?? []);
process.stdout.write(
  generated.length === 0 ? 'clients are up to date\n' : `generated ${generated.join(', ')}\n`,
);
