import { basename, dirname, join } from 'node:path';
import { makeDurableDirectory } from './durable-directory.js';
import type { Files } from './files.js';
import type { LostRange } from './recovery.js';

const NAME = /^(\d{20})-(\d{20})\.damaged$/;

const digits = (position: number): string => String(position).padStart(20, '0');
const nameOf = ({ from, to }: LostRange): string => `${digits(from)}-${digits(to)}.damaged`;
const directoryOf = (dir: string): string => join(dir, 'quarantine');

/**
 * Damaged ranges of the journal that an operator has decided to do without. Each is a file
 * `quarantine/<from>-<to>.damaged` with the bytes as they were found, for whoever wants to try to
 * rescue something. The name is also the decision: the next start leaves the range out by itself. The
 * segment is not touched.
 */
export async function knownDamage(files: Files, dir: string): Promise<Map<number, number>> {
  await makeDurableDirectory(files, directoryOf(dir));
  const known = new Map<number, number>();
  for (const name of await files.list(directoryOf(dir))) {
    const match = NAME.exec(name);
    if (match) known.set(Number(match[1]), Number(match[2]));
  }
  return known;
}

/** Copies a damaged range into a file of its own; `segmentBase` is where its segment begins. */
export async function setAside(
  files: Files,
  dir: string,
  range: LostRange,
  segmentBase: number,
): Promise<string> {
  const bytes = await bytesOf(files, range, segmentBase);
  const path = join(directoryOf(dir), nameOf(range));
  const temporary = `${path}.new`;
  if ((await files.list(directoryOf(dir))).includes(`${nameOf(range)}.new`)) await files.unlink(temporary);
  const file = await files.open(temporary, 'create');
  try {
    if (bytes.byteLength > 0) await file.writev([bytes], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncDirectory(directoryOf(dir));
  return path;
}

/** What is there of the range: a segment that was cut short, or is missing, has less than that. */
async function bytesOf(files: Files, { path, from, to }: LostRange, segmentBase: number): Promise<Buffer> {
  if (!(await files.list(dirname(path))).includes(basename(path))) return Buffer.alloc(0);
  const file = await files.open(path, 'read');
  try {
    const there = Math.max(0, Math.min(to - segmentBase, await file.size()) - (from - segmentBase));
    const bytes = Buffer.allocUnsafeSlow(there);
    return bytes.subarray(0, await file.read(bytes, from - segmentBase));
  } finally {
    await file.close();
  }
}
