import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Files } from './files.js';

const BYTES = 12;

/**
 * Positions that the journal's directory keeps beside the segments, each in a file of its own: `f64 position, u32 CRC-32`.
 *
 * - `durable`: up to where the journal was known to be on disk when the broker was last closed. Without it (a crash)
 *   recovery takes damage in the very last entries for a torn tail; with it, it knows better. One that is old stays true.
 * - `start`: where the oldest segment begins, or began when retention was about to drop it. Without it nothing says
 *   that a segment in front is missing.
 * - `newest`: where the newest segment begins, on disk before anything in that segment is confirmed, and all before it is on
 *   disk too; -1 for none. A segment that is there may be newer, never older. Without it nothing says that the last one is missing.
 */
export type Mark = 'durable' | 'start' | 'newest';

export async function writeMark(
  files: Files,
  directory: string,
  mark: Mark,
  position: number,
): Promise<void> {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeDoubleLE(position, 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8);
  const temporary = join(directory, `${mark}.new`);
  if ((await files.list(directory)).includes(`${mark}.new`)) await files.unlink(temporary);
  const file = await files.open(temporary, 'create');
  try {
    await file.writev([bytes], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(directory, mark));
  await files.syncDirectory(directory);
}

/** Undefined when there is none, or none that can be read: then nothing is known. */
export async function readMark(files: Files, directory: string, mark: Mark): Promise<number | undefined> {
  if (!(await files.list(directory)).includes(mark)) return undefined;
  const file = await files.open(join(directory, mark), 'read');
  try {
    const bytes = Buffer.alloc(BYTES);
    const read = await file.read(bytes, 0);
    if (read < BYTES || bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8))) return undefined;
    return bytes.readDoubleLE(0);
  } finally {
    await file.close();
  }
}
