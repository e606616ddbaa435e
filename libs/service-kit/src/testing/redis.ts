import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { onFreePort } from './free-port.js';

/** A Redis for one suite. */
export type TestRedis = {
  url: string;
  /** Kills the server at once, as a power cut would; what the append-only file has survives. */
  crash(): Promise<void>;
  /** Lets the server hang: connections stand and nothing is answered, until the function it gives is called. */
  hang(): () => void;
  /** Starts it again after `crash`, with the same data on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * A `redis-server` (or `valkey-server`) of this suite's own, with an append-only file in a temporary folder.
 * @param settings further arguments, such as `--maxmemory`, `100mb`
 */
export async function startRedis(...settings: readonly string[]): Promise<TestRedis> {
  const program = ['redis-server', 'valkey-server'].find(
    (name) => spawnSync(name, ['--version']).status === 0,
  );
  if (program === undefined) throw new Error('no redis-server or valkey-server on the PATH');
  return onFreePort((port) => ownServer(program, port, settings));
}

/**
 * The shell outlives a killed server and dies with this process: its standard input closes then, and
 * it takes the server along.
 */
const KEEPER = '"$@" </dev/null & echo $!; cat >/dev/null; kill $! 2>/dev/null; wait $!';

async function ownServer(program: string, port: number, settings: readonly string[]): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'stampede-redis-'));
  const log = join(dir, 'redis.log');
  const args = [
    ...['--bind', '127.0.0.1', '--port', String(port), '--dir', dir, '--logfile', log],
    // Not `everysec`, as in the shop: while it syncs on a busy disk it answers before it writes, and a
    // kill then loses what was answered. A spec that wants writes lost takes them away itself.
    ...['--appendonly', 'yes', '--appendfsync', 'no', '--save', ''],
    ...settings,
  ];
  const url = `redis://127.0.0.1:${port}/0`;
  let keeper: ChildProcess;
  let pid = 0;
  const start = async (): Promise<void> => {
    keeper = spawn('sh', ['-c', KEEPER, 'sh', program, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    pid = await firstLine(keeper);
    await answers(url, pid, log);
  };
  const end = (): Promise<void> =>
    new Promise((resolve) => {
      if (keeper.exitCode !== null) return resolve();
      keeper.once('exit', () => resolve());
      keeper.stdin?.end();
    });
  const stop = async (): Promise<void> => {
    await end();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  const crash = async (): Promise<void> => {
    process.kill(pid, 'SIGKILL');
    await end();
  };
  const hang = (): (() => void) => {
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  };
  return { url, crash, hang, restart: start, stop };
}

function firstLine(keeper: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    keeper.once('error', reject);
    keeper.stdout?.once('data', (chunk: Buffer) => resolve(Number.parseInt(chunk.toString(), 10)));
  });
}

/** Waits until this very process answers: on a taken port it would be somebody else's. */
async function answers(url: string, pid: number, log: string): Promise<void> {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    retryStrategy: (tries) => (tries > 250 ? null : 20),
  });
  redis.on('error', () => {
    // Refused until the server listens; the retries are what is waited for.
  });
  try {
    const info = await redis.info('server');
    if (!info.includes(`process_id:${pid}\r`)) throw new Error('the port belongs to another server');
  } catch (error) {
    const said = await readFile(log, 'utf8').catch(() => '');
    throw new Error(`Redis did not start: ${said.slice(-500)}`, { cause: error });
  } finally {
    redis.disconnect();
  }
}
