// Brings a clone into a state in which it can run: dependencies installed, sources built. Uses only
// what Node has, since on a fresh clone there is nothing else.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** An expected failure: printed as one line, without a stack. */
export class Refusal extends Error {}

/** Runs `main`; a `Refusal` ends the process with its one line, anything else with its stack. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${error instanceof Refusal ? error.message : error.stack}\n`);
    process.exit(1);
  }
}

/** Installs when package-lock.json has changed since the last install, builds when a source has. */
export function prepare({ build = true } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Refusal(`Stampede needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
  }
  const lockHash = hashFiles([join(root, 'package-lock.json')]);
  step('node_modules/.stampede-installed', lockHash, 'Installing dependencies', [
    'ci',
    '--no-audit',
    '--no-fund',
  ]);
  if (!build) return;
  const sources = ['apps', 'libs', 'prisma', 'e2e', 'bench'].flatMap((dir) => listSources(join(root, dir)));
  const sourceHash = hashFiles([...sources, join(root, '.swcrc'), join(root, 'package-lock.json')]);
  step('dist/.stampede-built', sourceHash, 'Building', ['run', 'build']);
}

/** Runs npm unless the stamp file says that it was done for this very input. */
function step(stampPath, hash, title, npmArgs) {
  const stamp = join(root, stampPath);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  const startedAt = Date.now();
  process.stderr.write(`${title} …`);
  if (npmArgs[1] === 'build') rmSync(join(root, 'dist'), { recursive: true, force: true });
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const result = spawnSync(npm, npmArgs, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0) {
    process.stderr.write('\n');
    throw new Refusal(
      `\`npm ${npmArgs.join(' ')}\` failed:\n${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`,
    );
  }
  process.stderr.write(` ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}

function listSources(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.includes('/generated/') && !path.includes('/results/') && !path.endsWith('.md'))
    .sort();
}

/** By content up to a point: size and modification time decide for all but small inputs. */
function hashFiles(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path.slice(root.length)}\0${size}\0`);
    hash.update(size < 256 * 1024 ? readFileSync(path) : String(mtimeMs));
  }
  return hash.digest('hex');
}
