import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Files } from './files.js';

const NAME = 'durable';
const BYTES = 12;

/**
 * Up to where the journal was known to be on disk when the broker was last closed: `f64 position, u32 CRC-32`. Without it
 * (a crash) recovery takes damage in the very last entries for a torn tail; with it, it knows better.
 * A mark that is old stays true, so it is never removed.
 */
export async function writeDurableMark(files: Files, directory: string, position: number): Promise<void> {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeDoubleLE(position, 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8);
  const temporary = join(directory, `${NAME}.new`);
  if ((await files.list(directory)).includes(`${NAME}.new`)) await files.unlink(temporary);
  const file = await files.open(temporary, 'create');
  try {
    await file.writev([bytes], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(directory, NAME));
  await files.syncDirectory(directory);
}

/** 0 when there is none, or none that can be read: then nothing is known. */
export async function readDurableMark(files: Files, directory: string): Promise<number> {
  if (!(await files.list(directory)).includes(NAME)) return 0;
  const file = await files.open(join(directory, NAME), 'read');
  try {
    const bytes = Buffer.alloc(BYTES);
    const read = await file.read(bytes, 0);
    if (read < BYTES || bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8))) return 0;
    return bytes.readDoubleLE(0);
  } finally {
    await file.close();
  }
}
