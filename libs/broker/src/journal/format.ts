/**
 * Bytes of the journal. All integers little endian; a *position* is a byte's place in the whole
 * journal, counted over all segments from its first byte ever, headers included.
 *
 *     segment file  journal/<20-digit position of its first byte>.log
 *     ┌──────────────┬─────────┬─────────┬───
 *     │ header, 32 B │ entry   │ entry   │ …
 *     └──────────────┴─────────┴─────────┴───
 *     header:  0  8 B  "STAMPEDE"
 *              8  u32  format version (1)
 *             12  f64  position of the segment's first byte
 *             20  f64  when it was started, epoch ms
 *             28  u32  CRC-32 of bytes 0–27
 *
 *     entry:   0  u32  length of the whole entry, these four bytes included
 *              4  u32  CRC-32 of everything after this field, seeded with the entry's position
 *              8  u8   type (`EntryType`)
 *              9  u8   version of the type's body (1)
 *             10  f64  all bytes before this position were known to be on disk when the entry was made
 *             18  …    body
 *
 * The seed: bytes that were copied from elsewhere (a log file sent as a message body, say) never
 * pass for an entry. The durable position: it tells a torn tail from damage. A crash may lose any
 * part of what was not yet synced, earlier bytes before later ones too; a hole at X is a torn
 * tail unless a valid entry behind it says that X had been on disk.
 *
 *     body of every type but ACKED:
 *              0  u32  length of the facts
 *              4  …    facts: JSON; empty for MESSAGES, binary for TIMERS_FIRED
 *              …  …    message records, one after the other (see `topics/record.ts`)
 */
import { crc32 } from 'node:zlib';
import { MessagingError } from '#libs/messaging/port';

export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 32;
export const ENTRY_HEADER_BYTES = 18;
/** Behind the header: the length of the facts, as a u32. Not in `ACKED` entries. */
export const FACTS_LENGTH_BYTES = 4;
/**
 * No entry is longer: more is refused, and a length beyond it is damage. Far above the largest append, because
 * one that a full topic turns into a dead letter of each of its groups is written once for each, and a
 * snapshot grows with what is held back and dead.
 */
export const MAX_ENTRY_BYTES = 512 * 1024 * 1024;

const MAGIC = 'STAMPEDE';

/** What an entry says happened. Numbers are on disk: never reuse one. */
export const EntryType = {
  /** Messages appended by one or more sends; delayed ones among them set a timer. */
  MESSAGES: 1,
  /** Offsets settled by groups, as runs. */
  ACKED: 2,
  TOPIC_CREATED: 3,
  GROUP_CREATED: 4,
  /** Where a group starts to read partitions that it had no position in. */
  CURSORS_CREATED: 5,
  /** An offset settled by moving its message to the group's retry topic or dead letters. */
  MOVED: 6,
  /** A message of an ordered group stays where it is and waits for its next try. */
  HELD_BACK: 7,
  // 8 was an earlier form of TIMERS_FIRED.
  TIMER_RECALLED: 9,
  /** Half messages. */
  PREPARED: 10,
  DECIDED: 11,
  GROUP_RESET: 12,
  REDRIVEN: 13,
  DISCARDED: 14,
  /** All small state, at the start of a segment, so that older segments can be dropped. */
  SNAPSHOT: 15,
  /** A producer registered, and has a new epoch. */
  PRODUCER_OPENED: 16,
  /** Groups were moved over messages that retention is about to drop. */
  MISSED: 17,
  /** Dead letters were dropped because they are too old or too many. */
  DEAD_LETTERS_DROPPED: 18,
  /** A group passed over a message whose record makes no sense. */
  UNDECODABLE: 19,
  /** Delayed messages became due: off the timers, into their partitions. */
  TIMERS_FIRED: 20,
  /** A producer was asked for its decision and does not know it yet. At most `maxChecks` of them for a transaction. */
  CHECKED: 21,
  /** Messages that wait, dead letters and half messages of an old segment, written anew so that it can go. */
  CARRIED: 22,
  /** What the members of a group take, each different subscription once. */
  INTERESTS: 30,
  /** Delayed messages got another time: written anew with it. */
  TIMERS_MOVED: 31,
  /** A dead letter has another body or other headers. */
  LETTER_EDITED: 40,
  /** A group and the topics that the broker kept for it are gone. */
  GROUP_DELETED: 41,
  TOPIC_DELETED: 42,
} as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

const TYPE_NAMES = new Map(Object.entries(EntryType).map(([name, type]) => [type as number, name]));

/** For messages and dumps: `MESSAGES`, or `TYPE 99` for one that this version does not know. */
export const entryTypeName = (type: number): string => TYPE_NAMES.get(type) ?? `TYPE ${type}`;

export const segmentFileName = (base: number): string => `${String(base).padStart(20, '0')}.log`;

/** The base position in a segment's file name; undefined for other files. */
export function segmentBaseOf(fileName: string): number | undefined {
  const match = /^(\d{20})\.log$/.exec(fileName);
  return match ? Number(match[1]) : undefined;
}

export function encodeSegmentHeader(base: number, createdAtMs: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt32LE(FORMAT_VERSION, 8);
  header.writeDoubleLE(base, 12);
  header.writeDoubleLE(createdAtMs, 20);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return header;
}

/** @throws {MessagingError} `LOG_CORRUPT`, naming the file, when it is not a segment of this format and base. */
export function checkSegmentHeader(header: Buffer, base: number, path: string): void {
  const fail = (why: string): never => {
    throw new MessagingError('LOG_CORRUPT', `${path} at byte 0: ${why}`);
  };
  if (header.byteLength < SEGMENT_HEADER_BYTES) fail('the segment header is incomplete');
  if (header.toString('latin1', 0, 8) !== MAGIC) fail('not a journal segment');
  if (header.readUInt32LE(28) !== crc32(header.subarray(0, 28))) fail('the segment header is damaged');
  const version = header.readUInt32LE(8);
  if (version !== FORMAT_VERSION) fail(`format version ${version}, this broker reads ${FORMAT_VERSION}`);
  const found = header.readDoubleLE(12);
  if (found !== base) fail(`the header says position ${found}, the file name ${base}`);
}

/** Checksum of an entry whose bytes after the CRC field are `rest` and that starts at `position`. */
export const entryChecksum = (rest: Uint8Array, position: number): number => crc32(rest, position % 2 ** 32);

/** Length of the entry at `at` (`position` in the journal) when all of it is there and its checksum holds; 0 otherwise. */
export function validEntryLength(bytes: Buffer, at: number, end: number, position: number): number {
  if (at + ENTRY_HEADER_BYTES > end) return 0;
  const length = bytes.readUInt32LE(at);
  if (length < ENTRY_HEADER_BYTES || length > MAX_ENTRY_BYTES || at + length > end) return 0;
  return entryChecksum(bytes.subarray(at + 8, at + length), position) === bytes.readUInt32LE(at + 4)
    ? length
    : 0;
}
