import { createHash } from 'node:crypto';

/** Most bodies are small; a few take several blocks of the broker's buffers. */
const SIZES_BYTES = [40, 80, 200, 400, 1_000, 4_000, 40_000];

/** A body that follows from its message's id, so that whoever gets it can tell whether it is the right one. */
export function bodyOf(id: string): Buffer {
  const digest = createHash('sha256').update(id).digest();
  const size = SIZES_BYTES[Math.min(digest[0] ?? 0, digest[1] ?? 0) % SIZES_BYTES.length] ?? 40;
  const body = Buffer.alloc(size, digest);
  body.write(id);
  return body;
}

export const isBodyOf = (id: string, body: Uint8Array): boolean => bodyOf(id).equals(body);
