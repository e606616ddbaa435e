/** What a message that is sent and one that is delivered have in common on the wire. */
import { MessagingError } from '#libs/messaging/port';
import type { ByteReader, ByteWriter } from './bytes.js';

/** Bits of a message's u16 of flags: which optional parts follow. */
export const SAME_NAMES = 1;
export const KEY = 2;
export const ID = 4;
export const HEADERS = 8;
export const DELIVER_AT = 16;
export const TIMER_ID = 32;
export const TTL = 64;
export const PRIORITY = 128;
export const HISTORY = 256;
/** The message follows as its record (see `topics/record.ts`), and nothing else of it. */
export const RECORD = 512;

export const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
export function countHeaders(headers: Readonly<Record<string, string>>): number {
  let count = 0;
  for (const _ in headers) count++;
  return count;
}

export function writeHeaders(
  writer: ByteWriter,
  headers: Readonly<Record<string, string>>,
  count: number,
): void {
  writer.u16(count);
  for (const name in headers) {
    writer.string(name);
    writer.string(headers[name] as string);
  }
}

export function readHeaders(reader: ByteReader): Record<string, string> {
  const count = reader.u16();
  const headers: Record<string, string> = {};
  for (let index = 0; index < count; index++) {
    const name = reader.string();
    const value = reader.string();
    // Assigning this one name would set the prototype; no header is called that.
    if (name === '__proto__') throw new MessagingError('PROTOCOL_ERROR', 'a header has an impossible name');
    headers[name] = value;
  }
  return headers;
}
