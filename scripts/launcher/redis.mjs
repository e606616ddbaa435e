import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Refusal, root } from './prepare.mjs';

const PROGRAMS = ['redis-server', 'valkey-server'];
const INSTALLERS = [
  ['apt-get', ['apt-get update -qq', 'apt-get install -y -qq redis-server'], true],
  ['dnf', ['dnf install -y -q valkey || dnf install -y -q redis'], true],
  ['apk', ['apk add --quiet redis'], true],
  ['pacman', ['pacman -S --noconfirm --quiet valkey'], true],
  ['brew', ['brew install --quiet redis'], false],
];

/** Path of a Redis (or Valkey) server; installs one where that needs no password, else says what to run. */
export function findRedis() {
  const found = PROGRAMS.map(onPath).find(Boolean);
  if (found) return requireVersion(found);
  for (const [manager, commands, needsRoot] of INSTALLERS) {
    if (!onPath(manager)) continue;
    const sudo = needsRoot && process.getuid?.() !== 0 ? 'sudo -n ' : '';
    if (sudo && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) {
      throw new Refusal(`Stampede needs Redis. Run: sudo ${commands.at(-1)}   (or set REDIS_URL)`);
    }
    process.stderr.write(`Installing Redis with ${manager} …\n`);
    for (const command of commands) {
      const script = sudo + command;
      const result = spawnSync('sh', ['-c', `${script} >/dev/null`], {
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      if (result.status !== 0)
        throw new Refusal(`\`${script}\` failed. Install Redis by hand, or set REDIS_URL.`);
    }
    const installed = PROGRAMS.map(onPath).find(Boolean);
    if (installed) return requireVersion(installed);
  }
  throw new Refusal('Stampede needs Redis: install redis-server or valkey-server, or set REDIS_URL.');
}

/** `SET … NX GET` came with Redis 7. */
function requireVersion(program) {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const version = /v=(\d+)\.[\d.]+/.exec(stdout ?? '');
  if (version && Number(version[1]) < 7) {
    throw new Refusal(
      `${program} is ${version[0].slice(2)}; Stampede needs Redis 7 or Valkey: install it, or set REDIS_URL.`,
    );
  }
  return program;
}

function onPath(program) {
  const result = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** Refuses, in one line, a server of somebody else's that is not there in time, lets nobody in, or is no place for stock. */
export async function requireFitRedis(url, withinMs) {
  const load = (path) => import(pathToFileURL(join(root, path)).href);
  const [{ Redis }, { RedisStock }] = await Promise.all([
    import('ioredis'),
    load('dist/libs/redis-stock/src/redis-stock.js'),
  ]);
  const deadline = Date.now() + withinMs;
  let lastError = new Error('no answer');
  // Each look settles: nothing is asked of a connection that is not there.
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    commandTimeout: 3_000,
    connectTimeout: 3_000,
    enableReadyCheck: false,
    retryStrategy: () => 250,
  });
  redis.on('error', (error) => (lastError = error));
  try {
    for (;;) {
      try {
        const { refusals, warnings } = await new RedisStock(redis).look();
        if (refusals.length > 0) throw new Refusal(`REDIS_URL: ${refusals[0]}`);
        return warnings;
      } catch (error) {
        if (error instanceof Refusal) throw error;
        const isAnswer = error.name === 'ReplyError' && !error.message.startsWith('LOADING');
        const cause = error.name === 'ReplyError' ? error : lastError;
        if (isAnswer || Date.now() > deadline) {
          throw new Refusal(`REDIS_URL: Redis cannot be used: ${cause.message.split('\n')[0]}`);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  } finally {
    redis.disconnect();
  }
}

/** Arguments for a server whose data survives it: an append-only file, flushed every second. */
export const redisArguments = (dir, port) => [
  ...['--bind', '127.0.0.1', '--port', String(port), '--dir', dir],
  ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '', '--daemonize', 'no'],
];
