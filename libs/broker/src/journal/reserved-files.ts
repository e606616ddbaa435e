import type { Ballast } from './ballast.js';
import type { Files, JournalFile } from './files.js';

/** What a new file, or a new name of one, takes at most. */
const NAME_BYTES = 64 * 1024;

/**
 * Files whose writes are tried again in blocks of the ballast when the disk has none. Of a write that failed so nothing
 * is relied on: all of it is written again, to the same place. A sync is not tried again, since after one that
 * failed the next may lie ("fsyncgate"): it fails as ever.
 */
export class ReservedFiles implements Files {
  constructor(
    private readonly files: Files,
    private readonly ballast: Ballast,
  ) {}

  async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await this.withRoom(NAME_BYTES, () => this.files.open(path, mode));
    if (mode === 'read') return file;
    const writev = file.writev.bind(file);
    file.writev = (buffers, position) => {
      const bytes = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return this.withRoom(bytes, () => writev(buffers, position));
    };
    return file;
  }

  list(directory: string): Promise<string[]> {
    return this.files.list(directory);
  }

  makeDirectory(directory: string): Promise<boolean> {
    return this.withRoom(NAME_BYTES, () => this.files.makeDirectory(directory));
  }

  rename(from: string, to: string): Promise<void> {
    return this.withRoom(NAME_BYTES, () => this.files.rename(from, to));
  }

  unlink(path: string): Promise<void> {
    return this.withRoom(NAME_BYTES, () => this.files.unlink(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.files.syncDirectory(directory);
  }

  freeBytes(directory: string): Promise<number> {
    return this.files.freeBytes(directory);
  }

  private async withRoom<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isFull(error) || !(await this.ballast.giveUp(bytes))) throw error;
      }
    }
  }
}

/** No block is left, or none that this user may have. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
