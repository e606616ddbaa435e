import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

/** A Redis of a spec's own, on a unix socket, so that no port can be taken. */
export class RedisUnderTest {
  private constructor(
    private readonly dir: string,
    private server: ChildProcess,
    readonly connection: Redis,
  ) {}

  static async start(): Promise<RedisUnderTest> {
    const dir = await mkdtemp(join(tmpdir(), 'stampede-redis-'));
    const server = await startServer(dir);
    const connection = new Redis({ path: socketIn(dir), maxRetriesPerRequest: 50, retryStrategy: () => 20 });
    // Expected while a spec restarts the server.
    connection.on('error', () => undefined);
    return new RedisUnderTest(dir, server, connection);
  }

  /** Kills the server and starts another on the same append-only file. */
  async restart(): Promise<void> {
    this.server.kill('SIGKILL');
    await once(this.server, 'exit');
    this.server = await startServer(this.dir);
    await this.connection.ping();
  }

  async stop(): Promise<void> {
    this.connection.disconnect();
    this.server.kill('SIGKILL');
    await once(this.server, 'exit');
    await rm(this.dir, { recursive: true, force: true });
  }
}

const socketIn = (dir: string): string => join(dir, 'redis.sock');

async function startServer(dir: string): Promise<ChildProcess> {
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socketIn(dir), '--dir', dir, '--appendonly', 'yes', '--save', ''],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let log = '';
  for await (const chunk of server.stdout.iterator({ destroyOnReturn: false })) {
    log += String(chunk);

    if (log.includes('Ready to accept connections')) break;
  }
  server.stdout.resume();
  return server;
}
