/**
 * Everything the journal asks of a file system, and nothing else: specs put a layer here that loses
 * unsynced writes, tears them, or fails (see `faulty-files.ts`).
 */
import fs from 'node:fs';
import { open as openHandle } from 'node:fs/promises';

export interface JournalFile {
  /** Writes all the bytes at `position`, or rejects. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<void>;
  datasync(): Promise<void>;
  /** Fills `target` from `position`; resolves to the number of bytes read, less only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface Files {
  /** `create` makes an empty file and refuses an existing one. */
  open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile>;
  list(directory: string): Promise<string[]>;
  /** False when it is there already; rejects with `ENOENT` when its parent is not. See `makeDurableDirectory`. */
  makeDirectory(directory: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(directory: string): Promise<void>;
  /** Bytes that may still be written to the file system of the directory; `Infinity` when it does not say. */
  freeBytes(directory: string): Promise<number>;
}

/** What is written here is for the broker alone. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const FLAGS = { create: 'wx+', 'read-write': 'r+', read: 'r' } as const;

/** Callbacks on a raw descriptor: a `FileHandle` costs several times more per call. */
class NodeFile implements JournalFile {
  constructor(private readonly fd: number) {}

  async writev(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let pending = buffers;
    let at = position;
    while (pending.length > 0) {
      let written = await this.writeSome(pending, at);
      at += written;
      let whole = 0;
      while (whole < pending.length && written >= pending[whole]!.byteLength) {
        written -= pending[whole]!.byteLength;
        whole += 1;
      }
      pending = pending.slice(whole);
      if (written > 0) pending = [pending[0]!.subarray(written), ...pending.slice(1)];
    }
  }

  private writeSome(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      // IOV_MAX is 1,024 on Linux.
      fs.writev(this.fd, buffers.slice(0, 1024), position, (error, written) =>
        error ? reject(error) : resolve(written),
      );
    });
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let total = 0;
    while (total < target.byteLength) {
      const read = await this.readSome(target, total, position + total);
      if (read === 0) break;
      total += read;
    }
    return total;
  }

  private readSome(target: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.fd, target, offset, target.byteLength - offset, position, (error, read) =>
        error ? reject(error) : resolve(read),
      );
    });
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.fd, (error, stats) => (error ? reject(error) : resolve(stats.size)));
    });
  }

  truncate(length: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.fd, length, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.fd, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** The file system of the machine. */
export const nodeFiles: Files = {
  open: (path, mode) =>
    new Promise((resolve, reject) => {
      fs.open(path, FLAGS[mode], FILE_MODE, (error, fd) =>
        error ? reject(error) : resolve(new NodeFile(fd)),
      );
    }),
  list: (directory) => fs.promises.readdir(directory),
  makeDirectory: async (directory) => {
    try {
      await fs.promises.mkdir(directory, DIRECTORY_MODE);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  },
  rename: (from, to) => fs.promises.rename(from, to),
  unlink: (path) => fs.promises.unlink(path),
  syncDirectory: async (directory) => {
    const handle = await openHandle(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  freeBytes: async (directory) => {
    const { bavail, bsize, blocks } = await fs.promises.statfs(directory);
    return blocks === 0 ? Infinity : bavail * bsize;
  },
};
