import { randomUUID } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { open, readFile, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { MessagingError } from '#libs/messaging/port';
import { makeDurableDirectory } from './durable-directory.js';
import { nodeFiles } from './files.js';

type Owner = { pid: number; startedAt: string; host: string; token: string };

/** Directories this process has open: a lock with our own pid but not in here was left by a predecessor that had the same pid (containers). */
const openHere = new Set<string>();

/**
 * One broker per data directory. The lock names its process by pid and start time, so that a lock
 * left behind by a killed broker is taken over even when its pid was given to another program.
 */
export class DirectoryLock {
  private constructor(
    private readonly path: string,
    private readonly directory: string,
  ) {}

  /** @throws {MessagingError} `STORAGE_FAILED` when a living process has the directory. */
  static async take(dir: string): Promise<DirectoryLock> {
    await makeDurableDirectory(nodeFiles, dir);
    const directory = realpathSync(dir);
    const path = join(directory, 'lock');
    const mine: Owner = {
      pid: process.pid,
      startedAt: startOf(process.pid),
      host: hostname(),
      token: randomUUID(),
    };
    // A second round after a stale lock was removed; a third would mean that others race us for it.
    for (let round = 0; round < 3; round++) {
      try {
        const handle = await open(path, 'wx');
        await handle.writeFile(JSON.stringify(mine));
        await handle.close();
        openHere.add(directory);
        return new DirectoryLock(path, directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const owner = await readOwner(path);
      if (owner && isAlive(owner, directory)) {
        throw new MessagingError(
          'STORAGE_FAILED',
          `${directory} is in use by the broker with process id ${owner.pid}`,
        );
      }
      await unlink(path).catch(() => undefined); // somebody else removed the stale lock first
    }
    throw new MessagingError('STORAGE_FAILED', `${directory} is being opened by another broker`);
  }

  async release(): Promise<void> {
    openHere.delete(this.directory);
    await unlink(this.path).catch(() => undefined); // the directory itself may be gone
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner;
  } catch {
    return undefined; // removed meanwhile, or its writer died before it wrote a name
  }
}

function isAlive(owner: Owner, directory: string): boolean {
  if (owner.pid === process.pid) return openHere.has(directory);
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return startOf(owner.pid) === owner.startedAt;
}

/** Field 22 of /proc/<pid>/stat: start time in clock ticks since boot; empty where there is no /proc. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
