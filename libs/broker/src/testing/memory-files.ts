import { basename, dirname } from 'node:path';
import type { Files, JournalFile } from '../journal/files.js';

/** What a file takes beside its content. */
const FILE_BYTES = 4_096;

/** Bytes that were written, or the length that a file was cut to. */
type Change = { position: number; bytes: Buffer } | { cutTo: number };
type Entry = {
  /** What reads see. */
  content: Buffer;
  /** What a power cut leaves for certain. */
  synced: Buffer;
  /** Changes since then, in order. */
  unsynced: Change[];
};
/** A path that leads to another file from now on, or to none. `isNew`: the file has no other name that is on disk. */
type NameChange = { path: string; entry: Entry | undefined; isNew: boolean };

/** Which of the changes of names since the last sync of their directory a power cut keeps. */
export type NamesKept = (index: number, count: number) => boolean;

/** Which of a file's unsynced writes a power cut leaves, and how much of each. Of unsynced cuts it leaves none. */
export type Survival = (write: { index: number; count: number; bytes: number }) => number;

/**
 * A file system in memory for specs: it knows what was synced, so that `crash` can lose or tear the rest, and
 * it fails the call it is told to. (Removals of files are taken to be durable at once unless `crash` is told otherwise. A new
 * file or directory is lost with all that is in it until the directory that it is in is synced.)
 */
export class MemoryFiles implements Files {
  /** Of all files together, each with `FILE_BYTES`, and of what others have on the same disk. */
  capacityBytes = Infinity;
  othersBytes = 0;
  /** Whether the file system says what is free. */
  tellsFree = true;
  private readonly entries = new Map<string, Entry>();
  /** As of the last sync of each directory. */
  private readonly names = new Map<string, Entry>();
  private unsyncedNames: NameChange[] = [];
  /** Whether a power cut leaves them; those that nobody made are there for certain. */
  private readonly directories = new Map<string, boolean>();
  /** Calls that change something, so far. */
  calls = 0;
  private fault: { call: number; code: string; forEver: boolean } | undefined;

  /** Fails the `call`-th changing call from the beginning (1 is the first), and, as a full disk does, all that follow if `forEver`. */
  failAt(call: number, code: 'EIO' | 'ENOSPC', forEver = false): void {
    this.fault = { call, code, forEver };
  }

  private get room(): number {
    let used = this.othersBytes;
    for (const { content } of this.entries.values()) used += FILE_BYTES + content.byteLength;
    return this.capacityBytes - used;
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.tellsFree ? Math.max(0, this.room) : Infinity);
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

  /** The same files after a power cut. Default: nothing unsynced is left but removals and new names of files. */
  crash(survival: Survival = () => 0, namesKept?: NamesKept): MemoryFiles {
    const after = this.emptyDisk();
    const lost = [...this.directories].filter(([, synced]) => !synced).map(([directory]) => `${directory}/`);
    for (const [directory, synced] of this.directories) if (synced) after.directories.set(directory, true);
    for (const [path, { synced, unsynced }] of this.namesAfter(namesKept)) {
      if (lost.some((directory) => path.startsWith(directory))) continue;
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
    const after = this.emptyDisk();
    const copies = new Map<Entry, Entry>();
    const copyOf = (entry: Entry): Entry => {
      const { content, synced, unsynced } = entry;
      const copy = copies.get(entry) ?? {
        content: Buffer.from(content),
        synced: Buffer.from(synced),
        unsynced: [...unsynced],
      };
      copies.set(entry, copy);
      return copy;
    };
    for (const [path, entry] of this.entries) after.entries.set(path, copyOf(entry));
    for (const [path, entry] of this.names) after.names.set(path, copyOf(entry));
    after.unsyncedNames = this.unsyncedNames.map((change) => ({
      ...change,
      entry: change.entry && copyOf(change.entry),
    }));
    for (const [directory, synced] of this.directories) after.directories.set(directory, synced);
    return after;
  }

  private emptyDisk(): MemoryFiles {
    const { capacityBytes, othersBytes, tellsFree } = this;
    return Object.assign(new MemoryFiles(), { capacityBytes, othersBytes, tellsFree });
  }

  private namesAfter(isKept: NamesKept | undefined): Map<string, Entry> {
    const names = new Map(this.names);
    this.unsyncedNames.forEach(({ path, entry, isNew }, index, { length }) => {
      if (!(isKept ? isKept(index, length) : !isNew)) return;
      if (entry) names.set(path, entry);
      else names.delete(path);
    });
    return names;
  }

  /** A file that was there before. */
  put(path: string, content: Buffer): void {
    const entry = { content, synced: Buffer.from(content), unsynced: [] };
    this.entries.set(path, entry);
    this.names.set(path, entry);
  }

  private name(path: string, entry: Entry | undefined): void {
    if (entry) this.entries.set(path, entry);
    else this.entries.delete(path);
    const isNew = entry !== undefined && ![...this.names.values()].includes(entry);
    this.unsyncedNames.push({ path, entry, isNew });
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
      if (this.room < FILE_BYTES) throw full(`create ${path}`);
      this.name(path, { content: Buffer.alloc(0), synced: Buffer.alloc(0), unsynced: [] });
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
        const fits = Math.max(0, this.room) + Math.max(0, entry.content.byteLength - position);
        if (fits < all.byteLength) failure ??= full(`write ${path}`);
        const bytes = failure ? all.subarray(0, Math.min(fits, all.byteLength >> 1)) : all;
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
    const entry = this.entry(from);
    this.name(from, undefined);
    this.name(to, entry);
  }

  async unlink(path: string): Promise<void> {
    await Promise.resolve();
    this.change(`unlink ${path}`);
    this.entry(path);
    this.name(path, undefined);
  }

  async syncDirectory(directory: string): Promise<void> {
    await Promise.resolve();
    this.change(`sync ${directory}`);
    for (const made of this.directories.keys())
      if (dirname(made) === directory) this.directories.set(made, true);
    const here = this.unsyncedNames.filter(({ path }) => dirname(path) === directory);
    for (const { path, entry } of here) {
      if (entry) this.names.set(path, entry);
      else this.names.delete(path);
    }
    this.unsyncedNames = this.unsyncedNames.filter((change) => !here.includes(change));
  }
}

const full = (what: string): Error => Object.assign(new Error(`ENOSPC: ${what}`), { code: 'ENOSPC' });

const changed = (content: Buffer, change: Change): Buffer =>
  'cutTo' in change ? content.subarray(0, change.cutTo) : written(content, change.position, change.bytes);

function written(content: Buffer, position: number, bytes: Buffer): Buffer {
  const grown = Buffer.alloc(Math.max(content.byteLength, position + bytes.byteLength));
  content.copy(grown);
  bytes.copy(grown, position);
  return grown;
}
