import {
  closeSync,
  constants,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { MessagingError } from '#libs/messaging/port';
import { makeDurableDirectory } from './durable-directory.js';
import { nodeFiles } from './files.js';
import { isFull } from './reserved-files.js';

/**
 * One broker per data directory, by a lock of the kernel on the file `lock` (ADR 20). It belongs to this open of the
 * file: another thread or container does not get it, and it ends with the process, however that ends. The file
 * stays; what is written in it is for people only.
 */
export class DirectoryLock {
  /** A bare descriptor: a `FileHandle` that nobody holds any more is closed by the collector, and the lock with it. */
  private constructor(private fd: number | undefined) {}

  /** @throws {MessagingError} `STORAGE_FAILED` when another broker has the directory, or its file system cannot lock. */
  static async take(dir: string): Promise<DirectoryLock> {
    await makeDurableDirectory(nodeFiles, dir);
    const directory = realpathSync(dir);
    const path = join(directory, 'lock');
    const tryLock = await kernelLock();
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (!isGranted(tryLock, fd, directory)) {
        throw new MessagingError('STORAGE_FAILED', `${directory} is in use by ${ownerIn(path)}`);
      }
      signIn(fd);
      return new DirectoryLock(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Lets others have the directory. */
  release(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** For whoever is refused. On a full disk it goes without: the lock is the kernel's. */
function signIn(fd: number): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, JSON.stringify({ pid: process.pid, host: hostname(), startedAt: new Date() }), 0);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

type TryLock = (fd: number) => boolean;

/** Loaded when a directory is opened: a process that only speaks to a broker does not need it. */
async function kernelLock(): Promise<TryLock> {
  try {
    return (await import('fs-native-extensions')).tryLock;
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`;
    const why = `fs-native-extensions has no build for ${platform}, and without its lock two brokers could share a directory`;
    throw new MessagingError('STORAGE_FAILED', why, { cause });
  }
}

function isGranted(tryLock: TryLock, fd: number, directory: string): boolean {
  try {
    return tryLock(fd);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MessagingError(
      'STORAGE_FAILED',
      `${directory} cannot be locked (${why}); use a file system with locks, such as a local one`,
      { cause },
    );
  }
}

/** Whoever has the lock, as it calls itself. */
function ownerIn(path: string): string {
  try {
    const { pid, host } = JSON.parse(readFileSync(path, 'utf8')) as { pid?: unknown; host?: unknown };
    return `the broker with process id ${String(pid)} on ${String(host)}`;
  } catch {
    return 'another broker'; // it has not written its name yet, or the lock keeps others from reading it (Windows)
  }
}
