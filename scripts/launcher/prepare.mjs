// Brings a clone into a state in which it can run: dependencies installed, sources built. Uses only
// what Node has, since on a fresh clone there is nothing else.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** An expected failure: printed as one line, without a stack. */
export class Refusal extends Error {}

/** What the system says of a file or a disk that is not ours to use. */
const STORAGE_ERRORS = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'read-only file system',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
};

/**
 * Runs `main`; a `Refusal`, and what a disk refuses, ends the process with one line, anything else with its stack.
 *
 * @param refusedCode with which it ends after a `Refusal` that has no `exitCode` of its own
 */
export async function runMain(main, refusedCode = 1) {
  try {
    await main();
  } catch (error) {
    const refused = error.path !== undefined && STORAGE_ERRORS[error.code];
    const line = refused ? `Cannot use ${error.path}: ${refused}.` : error.stack;
    // An option that there is not is as expected as a refusal.
    const isExpected = error instanceof Refusal || String(error.code).startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`${isExpected ? error.message : line}\n`);
    process.exit(error instanceof Refusal ? (error.exitCode ?? refusedCode) : 1);
  }
}

/** Installs when package-lock.json is newer than what is installed, builds when a source has changed. */
export function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Refusal(`Stampede needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
  }
  // npm leaves this file behind after every install. A linked folder is somebody else's to install.
  const installed = join(root, 'node_modules/.package-lock.json');
  const isLink = lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink();
  if (!isLink && modifiedMs(installed) < modifiedMs(join(root, 'package-lock.json'))) {
    npm('Installing dependencies', ['ci', '--no-audit', '--no-fund']);
    utimesSync(installed, new Date(), new Date());
  }
  const stamp = join(root, 'dist/.stampede-built');
  const sources = ['apps', 'libs', 'prisma', 'e2e', 'bench'].flatMap((dir) => listSources(join(root, dir)));
  const hash = hashFiles([...sources, join(root, '.swcrc'), join(root, 'package-lock.json')]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  npm('Building', ['run', 'build']);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}

const modifiedMs = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** npm's own script where npm has started us: `npm.cmd`, as it is called on Windows, runs only within a shell. */
function npmCommand(args) {
  const script = process.env.npm_execpath ?? '';
  if (/npm-cli\.c?js$/.test(script)) return [process.execPath, [script, ...args], {}];
  return process.platform === 'win32' ? ['npm.cmd', args, { shell: true }] : ['npm', args, {}];
}

function npm(title, args) {
  const startedAt = Date.now();
  process.stderr.write(`${title} …`);
  const [program, programArgs, options] = npmCommand(args);
  const maxBuffer = 64 * 1024 * 1024;
  const result = spawnSync(program, programArgs, { cwd: root, encoding: 'utf8', maxBuffer, ...options });
  if (result.status !== 0) {
    process.stderr.write('\n');
    const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`;
    throw new Refusal(`\`npm ${args.join(' ')}\` failed:\n${output}`);
  }
  process.stderr.write(` ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
}

const LOOPBACK = ['127.0.0.1', 'localhost', '::1'];

/**
 * The environment for a process of the shop: with HTTP_PROXY and NODE_USE_ENV_PROXY it would look for its
 * neighbours on this machine behind the proxy. Both spellings, because the lower one wins.
 */
export function withoutProxyOnLoopback(env) {
  const given = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[,\s]+/).filter(Boolean);
  const noProxy = [...new Set([...given, ...LOOPBACK])].join(',');
  return { ...env, NO_PROXY: noProxy, no_proxy: noProxy };
}

function listSources(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !/[/\\](generated|results)[/\\]|\.md$/.test(path.slice(root.length)))
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
