import { basename, dirname } from 'node:path';
import type { Files, JournalFile } from '../journal/files.js';

/** Bytes that were written, or the length that a file was cut to. */
type Change = { position: number; bytes: Buffer } | { cutTo: number };
type Entry = {
  /** What reads see. */
  content: Buffer;
  /** What a power cut leaves for certain. */
  synced: Buffer;
  /** Changes since then, in order. */
  unsynced: Change[];
  /** Whether its directory was synced since it was made: else a power cut leaves no trace of it. */
  isListed: boolean;
};

/** Which of a file's unsynced writes a power cut leaves, and how much of each. Of unsynced cuts it leaves none. */
export type Survival = (write: { index: number; count: number; bytes: number }) => number;

/**
 * A file system in memory for specs: it knows what was synced, so that `crash` can lose or tear the rest, and
 * it fails the call it is told to. (Removals of files are taken to be durable at once. A new file or directory is
 * lost with all that is in it until the directory that it is in is synced.)
 */
export class MemoryFiles implements Files {
  private readonly entries = new Map<string, Entry>();
  /** Whether a power cut leaves them; those that nobody made are there for certain. */
  private readonly directories = new Map<string, boolean>();
  /** Calls that change something, so far. */
  calls = 0;
  private fault: { call: number; code: string; forEver: boolean } | undefined;

  /** Fails the `call`-th changing call from the beginning (1 is the first), and, as a full disk does, all that follow if `forEver`. */
  failAt(call: number, code: 'EIO' | 'ENOSPC', forEver = false): void {
    this.fault = { call, code, forEver };
  }

  /** While it holds for a path, reads of that file fail with EIO. */
  failsToRead: (path: string) => boolean = () => false;

  /** While it holds for a path, syncs of that file fail with EIO; as the kernel does, they take what they could not write for written. */
  failsToSync: (path: string) => boolean = () => false;

  private change(what: string): void {
    this.calls += 1;
    const { fault } = this;
    if (!fault || (fault.forEver ? this.calls < fault.call : this.calls !== fault.call)) return;
    throw Object.assign(new Error(`${fault.code}: injected, ${what}`), { code: fault.code });
  }

  /** The same files after a power cut. Default: nothing unsynced is left. */
  crash(survival: Survival = () => 0): MemoryFiles {
    const after = new MemoryFiles();
    const lost = [...this.directories].filter(([, synced]) => !synced).map(([directory]) => `${directory}/`);
    for (const [directory, synced] of this.directories) if (synced) after.directories.set(directory, true);
    for (const [path, { synced, unsynced, isListed }] of this.entries) {
      if (!isListed || lost.some((directory) => path.startsWith(directory))) continue;
      let content: Buffer = Buffer.from(synced);
      unsynced.forEach((change, index) => {
        if ('cutTo' in change) return;
        const { position, bytes } = change;
        const kept = survival({ index, count: unsynced.length, bytes: bytes.byteLength });
        if (kept > 0) content = written(content, position, bytes.subarray(0, kept));
      });
      after.put(path, content);
    }
    return after;
  }

  /** The same files after the process was killed: the operating system has all that was written, and the disk what was synced. */
  kill(): MemoryFiles {
    const after = new MemoryFiles();
    for (const [path, { content, synced, unsynced, isListed }] of this.entries)
      after.entries.set(path, {
        content: Buffer.from(content),
        synced: Buffer.from(synced),
        unsynced: [...unsynced],
        isListed,
      });
    for (const [directory, synced] of this.directories) after.directories.set(directory, synced);
    return after;
  }

  put(path: string, content: Buffer): void {
    this.entries.set(path, { content, synced: Buffer.from(content), unsynced: [], isListed: true });
  }

  paths(): string[] {
    return [...this.entries.keys()].sort();
  }

  content(path: string): Buffer {
    return this.entry(path).content;
  }

  private entry(path: string): Entry {
    const entry = this.entries.get(path);
    if (!entry) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return entry;
  }

  async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    await Promise.resolve();
    if (mode === 'create') {
      this.change(`create ${path}`);
      if (this.entries.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
      this.entries.set(path, {
        content: Buffer.alloc(0),
        synced: Buffer.alloc(0),
        unsynced: [],
        isListed: false,
      });
    }
    const entry = this.entry(path);
    return {
      writev: async (buffers, position) => {
        await Promise.resolve();
        // A failing write may have done part of its work.
        let failure: unknown;
        try {
          this.change(`write ${path}`);
        } catch (error) {
          failure = error;
        }
        const all = Buffer.concat(buffers);
        const bytes = failure ? all.subarray(0, all.byteLength >> 1) : all;
        entry.unsynced.push({ position, bytes });
        entry.content = written(entry.content, position, bytes);
        if (failure) throw failure as Error;
      },
      datasync: async () => {
        await Promise.resolve();
        const { unsynced } = entry;
        entry.unsynced = [];
        this.change(`sync ${path}`);
        if (this.failsToSync(path)) {
          throw Object.assign(new Error(`EIO: injected, sync ${path}`), { code: 'EIO' });
        }
        for (const change of unsynced) entry.synced = changed(entry.synced, change);
      },
      read: async (target, position) => {
        await Promise.resolve();
        if (this.failsToRead(path)) {
          throw Object.assign(new Error(`EIO: injected, read ${path}`), { code: 'EIO' });
        }
        return entry.content.copy(target, 0, position, position + target.byteLength);
      },
      size: () => Promise.resolve(entry.content.byteLength),
      truncate: async (length) => {
        await Promise.resolve();
        this.change(`truncate ${path}`);
        const cut = { cutTo: length };
        entry.unsynced.push(cut);
        entry.content = changed(entry.content, cut);
      },
      close: () => Promise.resolve(),
    };
  }

  list(directory: string): Promise<string[]> {
    return Promise.resolve(
      this.paths()
        .filter((path) => dirname(path) === directory)
        .map((path) => basename(path)),
    );
  }

  async makeDirectory(directory: string): Promise<boolean> {
    await Promise.resolve();
    if (this.directories.has(directory)) return false;
    this.change(`make ${directory}`);
    this.directories.set(directory, false);
    return true;
  }

  async rename(from: string, to: string): Promise<void> {
    await Promise.resolve();
    this.change(`rename ${from}`);
    this.entries.set(to, this.entry(from));
    this.entries.delete(from);
  }

  async unlink(path: string): Promise<void> {
    await Promise.resolve();
    this.change(`unlink ${path}`);
    this.entry(path);
    this.entries.delete(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    await Promise.resolve();
    this.change(`sync ${directory}`);
    for (const made of this.directories.keys())
      if (dirname(made) === directory) this.directories.set(made, true);
    for (const [path, entry] of this.entries) if (dirname(path) === directory) entry.isListed = true;
  }
}

const changed = (content: Buffer, change: Change): Buffer =>
  'cutTo' in change ? content.subarray(0, change.cutTo) : written(content, change.position, change.bytes);

function written(content: Buffer, position: number, bytes: Buffer): Buffer {
  const grown = Buffer.alloc(Math.max(content.byteLength, position + bytes.byteLength));
  content.copy(grown);
  bytes.copy(grown, position);
  return grown;
}
