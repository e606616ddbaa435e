import { crc32 } from 'node:zlib';
import { Actor } from './actors.js';
import type { Steps } from './trace.js';

const MAGIC = 'STAMPTRC';
/** Of the files of the trace; a reader leaves every other one alone. */
const VERSION = 1;
/** `STAMPTRC`, u32 version, u32 CRC-32 of the twelve bytes before. */
export const HEADER_BYTES = 16;
/** `u32 length, u32 CRC-32, u32 steps, u32 bytes of text`. */
const BATCH_HEADER_BYTES = 16;
const BYTES_PER_STEP = 20;

/** Steps as they are appended to a file together. All of it counts, or nothing. */
export type Batch = {
  readonly steps: Steps;
  /** Actors by number: those new since the batch before, or, where `isWhole`, all. */
  readonly actors: readonly (readonly [number: number, Actor])[];
  readonly isWhole: boolean;
  /** The journal ended here when it was opened: what was recorded before this batch of positions from here on is of records that are gone. */
  readonly cutAt?: number;
};

/** The JSON of a batch. Short names: it is in each. */
type BatchText = {
  actors?: [number: number, group: string, consumer?: string | null, node?: string | null][];
  whole?: boolean;
  named?: Steps['named'];
  cutAt?: number;
};

export function encodeHeader(): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(MAGIC, 'latin1');
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  return bytes;
}

/** Undefined when it is whole and of this version, else what it is. */
export function headerProblem(file: Buffer): string | undefined {
  if (file.byteLength < HEADER_BYTES || file.toString('latin1', 0, 8) !== MAGIC)
    return 'is none of the trace';
  if (file.readUInt32LE(12) !== crc32(file.subarray(0, 12))) return 'has a damaged header';
  const version = file.readUInt32LE(8);
  return version === VERSION ? undefined : `is of version ${version}, and this broker reads ${VERSION}`;
}

/** @param at where in its file it will lie, which its checksum is seeded with */
export function encodeBatch({ steps, actors, isWhole, cutAt }: Batch, at: number): Buffer {
  const { places, whats, named } = steps;
  const text = Buffer.from(
    JSON.stringify({
      ...(actors.length > 0 && {
        actors: actors.map(([number, { group, consumer, node }]) => [number, group, consumer, node]),
      }),
      ...(isWhole && { whole: true }),
      ...(named.length > 0 && { named }),
      ...(cutAt !== undefined && { cutAt }),
    } satisfies { [Key in keyof BatchText]: unknown }),
  );
  const bytes = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + text.byteLength + whats.length * BYTES_PER_STEP);
  bytes.writeUInt32LE(bytes.byteLength, 0);
  bytes.writeUInt32LE(whats.length, 8);
  bytes.writeUInt32LE(text.byteLength, 12);
  bytes.set(text, BATCH_HEADER_BYTES);
  // As they lie in memory: little endian, as all machines that Node runs on are.
  const from = BATCH_HEADER_BYTES + text.byteLength;
  bytes.set(bytesOf(places), from);
  bytes.set(bytesOf(whats), from + places.byteLength);
  bytes.writeUInt32LE(crc32(bytes.subarray(8), at), 4);
  return bytes;
}

/** Undefined: there is no whole batch at this place. */
export function decodeBatch(file: Buffer, at: number): { batch: Batch; end: number } | undefined {
  if (at + BATCH_HEADER_BYTES > file.byteLength) return undefined;
  const length = file.readUInt32LE(at);
  const [count, textBytes] = [file.readUInt32LE(at + 8), file.readUInt32LE(at + 12)];
  if (length !== BATCH_HEADER_BYTES + textBytes + count * BYTES_PER_STEP) return undefined;
  const end = at + length;
  if (end > file.byteLength || file.readUInt32LE(at + 4) !== crc32(file.subarray(at + 8, end), at))
    return undefined;
  const from = at + BATCH_HEADER_BYTES + textBytes;
  const text = JSON.parse(file.toString('utf8', at + BATCH_HEADER_BYTES, from)) as BatchText;
  const steps = {
    places: new Float64Array(count * 2),
    whats: new Uint32Array(count),
    named: text.named ?? [],
  };
  bytesOf(steps.places).set(file.subarray(from, from + steps.places.byteLength));
  bytesOf(steps.whats).set(file.subarray(from + steps.places.byteLength, end));
  const actors = (text.actors ?? []).map(
    ([number, group, consumer, node]) =>
      [number, new Actor(group, consumer ?? undefined, node ?? undefined)] as const,
  );
  const { whole: isWhole = false, cutAt } = text;
  return { batch: { steps, actors, isWhole, ...(cutAt !== undefined && { cutAt }) }, end };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array | Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
