import { dirname } from 'node:path';
import type { Files } from './files.js';

/**
 * Makes a directory and those above it, each on disk before anything is made in it: a file is as durable as the
 * names that lead to it. That of a directory which is there is synced too, because whoever made it may have
 * died before that.
 */
export async function makeDurableDirectory(files: Files, directory: string): Promise<void> {
  const parent = dirname(directory);
  let made: boolean;
  try {
    made = await files.makeDirectory(directory);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || parent === directory) throw error;
    await makeDurableDirectory(files, parent);
    made = await files.makeDirectory(directory);
  }
  try {
    await files.syncDirectory(parent);
  } catch (error) {
    // A data directory that was given to us may lie in one that we may not even open.
    if (made || codeOf(error) !== 'EACCES') throw error;
  }
}

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;
