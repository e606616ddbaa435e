import { chmod, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const OTHERS = 0o077;

/**
 * Closes a data directory to everybody but its owner: messages hold what their senders told nobody else. What is made from
 * now on is private from its first byte; this is for what earlier versions left open. A directory that all may
 * write to (`/tmp`) stays as it is, and so does what belongs to somebody else.
 */
export async function makePrivate(directory: string): Promise<void> {
  const { mode } = await lstat(directory);
  if ((mode & 0o1000) === 0) await closeToOthers(directory, mode);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await makePrivate(path);
    else if (entry.isFile()) await closeToOthers(path, (await lstat(path)).mode);
  }
}

async function closeToOthers(path: string, mode: number): Promise<void> {
  if ((mode & OTHERS) === 0) return;
  try {
    await chmod(path, mode & 0o7777 & ~OTHERS);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}
