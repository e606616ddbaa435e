import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeDurableDirectory } from './durable-directory.js';
import { type Files, nodeFiles } from './files.js';

describe('a new directory', () => {
  let root: string;
  let calls: string[];

  /** The file system of the machine, which tells what was done: `+` made, `s` synced. */
  const files: Files = {
    ...nodeFiles,
    makeDirectory: async (directory) => {
      const made = await nodeFiles.makeDirectory(directory);
      if (made) calls.push(`+${directory.slice(root.length)}`);
      return made;
    },
    syncDirectory: async (directory) => {
      await nodeFiles.syncDirectory(directory);
      calls.push(`s${directory.slice(root.length)}`);
    },
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'directory-'));
    calls = [];
  });
  afterEach(() => rm(root, { recursive: true }));

  it('is on disk, and every one above it, before anything is made in it', async () => {
    await makeDurableDirectory(files, join(root, 'a/b/c'));
    expect(calls.slice(-6)).toEqual(['+/a', 's', '+/a/b', 's/a', '+/a/b/c', 's/a/b']);
  });

  it('that a predecessor made and did not live to sync is synced now', async () => {
    await nodeFiles.makeDirectory(join(root, 'a'));
    await makeDurableDirectory(files, join(root, 'a'));
    expect(calls).toEqual(['s']);
  });

  it('may lie in one that may not be opened, but then has to be there', async () => {
    const refused = () => Promise.reject(Object.assign(new Error('EACCES'), { code: 'EACCES' }));
    const closed = { ...files, syncDirectory: refused };
    await expect(makeDurableDirectory(closed, join(root, 'a'))).rejects.toThrow('EACCES');
    await makeDurableDirectory(closed, join(root, 'a'));
    expect(await readdir(root)).toEqual(['a']);
  });

  it('is refused below something that is not a directory', async () => {
    await (await nodeFiles.open(join(root, 'file'), 'create')).close();
    await expect(makeDurableDirectory(files, join(root, 'file/a'))).rejects.toThrow('ENOTDIR');
  });
});
