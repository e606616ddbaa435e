import { Program, findProgram, freePort } from '../processes.js';
import type { RunningBroker } from './contender.js';

/** A Redis of its own with an append-only file; `fsync` as Redis' `appendfsync`. */
export async function startRedis(dir: string, fsync: 'always' | 'everysec'): Promise<RunningBroker> {
  const port = await freePort();
  const program = Program.start(findProgram(['redis-server', 'valkey-server'], 'redis-server'), [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir],
    ...['--appendonly', 'yes', '--appendfsync', fsync, '--save', ''],
    // A rewrite in the middle of a run would be measured too.
    ...['--auto-aof-rewrite-percentage', '0', '--maxmemory-policy', 'noeviction'],
  ]);
  await program.listening(port);
  return { endpoint: { host: '127.0.0.1', port }, pid: program.pid, stop: () => program.stop() };
}
