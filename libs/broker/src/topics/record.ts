/**
 * A message as bytes in the journal. Self-describing: topic, partition and offset are in it, so that a
 * dump needs no index.
 *
 *      0  u32  length of the record, these four bytes included
 *      4  u32  topic id
 *      8  u16  partition; 65,535: none yet (delayed, or half of a transaction)
 *     10  u8   flags: 1 has a key, 2 has a timer id, 4 is a retry (its timer cannot be recalled)
 *     11  u8   priority
 *     12  f64  offset, -1: none yet
 *     20  f64  born at, ms
 *     28  f64  stored at, ms
 *     36  f64  deliver at, ms; 0: at once
 *     44  u32  time to live, ms; 0: for ever
 *     48  u32  hash of the tag
 *     52  u32  length of the text
 *     56  u32  length of the provenance
 *     60  …    text: id ␀ tag ␀ key ␀ timer id (␀ header name ␀ header value)*, UTF-8
 *      …  …    provenance: JSON (`Provenance`) of a message that was delivered before, else empty
 *      …  …    body
 */
import {
  type Attempt,
  type DeadLetterReason,
  type ErrorKind,
  MessagingError,
  type StoredMessage,
} from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';

export const RECORD_HEADER_BYTES = 60;
export const NO_PARTITION = 0xffff;
export const DEFAULT_PRIORITY = 4;

const HAS_KEY = 1;
const HAS_TIMER_ID = 2;
const IS_RETRY = 4;

/** What a message in a retry or dead-letter topic brings with it. */
export type Provenance = {
  origin: { topic: string; partition: number; offset: number; storedAtMs: number };
  /** Deliveries so far. */
  attempt: number;
  history: readonly Attempt[];
  deadLetter?: { group: string; reason: DeadLetterReason; kind?: ErrorKind; error: string; atMs: number };
  /** How often the broker has given it back by itself; absent: never. */
  automaticRedrives?: number;
};

export type RecordFields = {
  topicId: number;
  partition: number;
  offset: number;
  id: string;
  tag: string;
  key: string | undefined;
  timerId?: string | undefined;
  isRetry?: boolean;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
  bornAtMs: number;
  storedAtMs: number;
  deliverAtMs: number;
  ttlMs: number;
  priority: number;
  provenance?: Provenance;
};

/** FNV-1a over UTF-16 units: a filter compares it before it decodes the tag (RocketMQ's ConsumeQueue does the same). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

const tagHashes = new Map<string, number>();
/** `hashOf` for tags, of which there are few; forgets all when somebody invents more than 4,096. */
export function tagHashOf(tag: string): number {
  let hash = tagHashes.get(tag);
  if (hash === undefined) {
    hash = hashOf(tag);
    if (tagHashes.size >= 4096) tagHashes.clear();
    tagHashes.set(tag, hash);
  }
  return hash;
}

/** Above this many characters a call of native code is cheaper than a loop. */
const LOOP_CHARS = 64;

/** Writes UTF-8; short ASCII, as most of it is, without building a string of it all first. Returns where it ends. */
function putText(bytes: Buffer, text: string, at: number): number {
  const { length } = text;
  if (length > LOOP_CHARS) return at + bytes.write(text, at);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return at + bytes.write(text, at);
    bytes[at + i] = unit;
  }
  return at + length;
}

function putSeparated(bytes: Buffer, text: string | undefined, at: number): number {
  bytes[at] = 0;
  return text === undefined ? at + 1 : putText(bytes, text, at + 1);
}

function putTexts(bytes: Buffer, fields: RecordFields, at: number): number {
  let end = putText(bytes, fields.id, at);
  end = putSeparated(bytes, fields.tag, end);
  end = putSeparated(bytes, fields.key, end);
  end = putSeparated(bytes, fields.timerId, end);
  for (const name in fields.headers) {
    end = putSeparated(bytes, name, end);
    end = putSeparated(bytes, fields.headers[name], end);
  }
  return end;
}

/** Upper bound of the record's bytes; the text may take up to three bytes for each UTF-16 unit. */
export function maxRecordBytes(fields: {
  id?: string;
  tag: string;
  key?: string | undefined;
  timerId?: string | undefined;
  headers?: Readonly<Record<string, string>>;
  body: Uint8Array;
}): number {
  let units =
    64 +
    fields.tag.length +
    (fields.id?.length ?? 0) +
    (fields.key?.length ?? 0) +
    (fields.timerId?.length ?? 0);
  for (const name in fields.headers) units += name.length + fields.headers[name]!.length + 2;
  return RECORD_HEADER_BYTES + units * 3 + fields.body.byteLength;
}

/** Appends a record at `out.at`; the journal position of its first byte is returned. */
export function writeRecord(
  out: Out,
  fields: RecordFields,
  provenance = encodeProvenance(fields.provenance),
): number {
  const { view, bytes, at } = out;
  const textAt = at + RECORD_HEADER_BYTES;
  let end = putTexts(bytes, fields, textAt);
  const textLength = end - textAt;
  if (provenance.byteLength > 0) bytes.set(provenance, end);
  end += provenance.byteLength;
  bytes.set(fields.body, end);
  end += fields.body.byteLength;
  let flags = fields.key === undefined ? 0 : HAS_KEY;
  if (fields.timerId !== undefined) flags |= HAS_TIMER_ID;
  if (fields.isRetry) flags |= IS_RETRY;
  view.setUint32(at, end - at, true);
  view.setUint32(at + 4, fields.topicId, true);
  view.setUint16(at + 8, fields.partition, true);
  view.setUint8(at + 10, flags);
  view.setUint8(at + 11, fields.priority);
  view.setFloat64(at + 12, fields.offset, true);
  view.setFloat64(at + 20, fields.bornAtMs, true);
  view.setFloat64(at + 28, fields.storedAtMs, true);
  view.setFloat64(at + 36, fields.deliverAtMs, true);
  view.setUint32(at + 44, fields.ttlMs, true);
  view.setUint32(at + 48, tagHashOf(fields.tag), true);
  view.setUint32(at + 52, textLength, true);
  view.setUint32(at + 56, provenance.byteLength, true);
  out.at = end;
  return out.start + at;
}

/** Of a message that was not delivered before. */
export const NO_PROVENANCE = Buffer.alloc(0);
export const encodeProvenance = (provenance: Provenance | undefined): Buffer =>
  provenance ? Buffer.from(JSON.stringify(provenance)) : NO_PROVENANCE;

export type Placement = { partition: number; offset: number; storedAtMs: number };

/** Appends a copy of the record at `position` of `block`, due now at its place in a partition. */
export function copyRecord(
  out: Out,
  block: Block,
  position: number,
  place: Placement & { deliverAtMs?: number },
): number {
  const from = position - block.start;
  const length = block.view.getUint32(from, true);
  const { view, at } = out;
  block.bytes.copy(out.bytes, at, from, from + length);
  view.setUint16(at + 8, place.partition, true);
  view.setFloat64(at + 12, place.offset, true);
  view.setFloat64(at + 28, place.storedAtMs, true);
  view.setFloat64(at + 36, place.deliverAtMs ?? 0, true);
  out.at += length;
  return out.start + at;
}

/** Appends the record at `position` of `block` as it is. */
export function copyUnchanged(out: Out, block: Block, position: number): void {
  const from = position - block.start;
  out.at += block.bytes.copy(out.bytes, out.at, from, from + block.view.getUint32(from, true));
}

/** Reads single fields of the record at `position` without decoding the rest. */
export const recordAt = {
  length: (block: Block, position: number): number => block.view.getUint32(position - block.start, true),
  topicId: (block: Block, position: number): number => block.view.getUint32(position - block.start + 4, true),
  partition: (block: Block, position: number): number =>
    block.view.getUint16(position - block.start + 8, true),
  isRetry: (block: Block, position: number): boolean =>
    (block.view.getUint8(position - block.start + 10) & IS_RETRY) !== 0,
  hasTimerId: (block: Block, position: number): boolean =>
    (block.view.getUint8(position - block.start + 10) & HAS_TIMER_ID) !== 0,
  priority: (block: Block, position: number): number => block.view.getUint8(position - block.start + 11),
  offset: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 12, true),
  storedAtMs: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 28, true),
  deliverAtMs: (block: Block, position: number): number =>
    block.view.getFloat64(position - block.start + 36, true),
  ttlMs: (block: Block, position: number): number => block.view.getUint32(position - block.start + 44, true),
  tagHash: (block: Block, position: number): number =>
    block.view.getUint32(position - block.start + 48, true),
};

/**
 * Where the record at `position` ends, and the next one begins. The records of an entry end where it does, at `end`.
 * @throws {MessagingError} `LOG_CORRUPT` when it has no length or goes beyond: a walk over records comes to an end
 */
export function endOfRecord(block: Block, position: number, end: number): number {
  const length = recordAt.length(block, position);
  if (length === 0 || position + length > end) {
    throw new MessagingError(
      'LOG_CORRUPT',
      `a record of ${length} bytes at position ${position}, in an entry that ends at ${end}`,
    );
  }
  return position + length;
}

/** id, tag, key, timer id, then header names and values in turn. */
export function textOfRecord(block: Block, position: number): string[] {
  const at = position - block.start;
  const textAt = at + RECORD_HEADER_BYTES;
  return block.bytes.utf8Slice(textAt, textAt + block.view.getUint32(at + 52, true)).split('\0');
}

export function keyOfRecord(block: Block, position: number): string {
  return textOfRecord(block, position)[2]!;
}

export const hasProvenance = (block: Block, position: number): boolean =>
  block.view.getUint32(position - block.start + 56, true) > 0;

export function bodyBytesOf({ view, start }: Block, position: number): number {
  const at = position - start;
  const beforeBody = RECORD_HEADER_BYTES + view.getUint32(at + 52, true) + view.getUint32(at + 56, true);
  return view.getUint32(at, true) - beforeBody;
}

export function provenanceOf(block: Block, position: number): Provenance | undefined {
  const at = position - block.start;
  const length = block.view.getUint32(at + 56, true);
  if (length === 0) return undefined;
  const pastAt = at + RECORD_HEADER_BYTES + block.view.getUint32(at + 52, true);
  return JSON.parse(block.bytes.utf8Slice(pastAt, pastAt + length)) as Provenance;
}

export type DecodedRecord = {
  message: StoredMessage;
  timerId: string | undefined;
  provenance: Provenance | undefined;
  ttlMs: number;
  deliverAtMs: number;
};

/** Where the field that begins at `start` ends. */
function endOf(text: string, start: number): number {
  const end = text.indexOf('\0', start);
  return end < 0 ? text.length : end;
}

function headersIn(text: string, start: number): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = start; at < text.length;) {
    const nameEnd = endOf(text, at);
    const valueEnd = endOf(text, nameEnd + 1);
    headers[text.slice(at, nameEnd)] = text.slice(nameEnd + 1, valueEnd);
    at = valueEnd + 1;
  }
  return headers;
}

/** Length of the record at `position` when all of it lies before `end` and its parts fit into it; 0 otherwise. For bytes that came from elsewhere. */
export function validRecordLength(block: Block, position: number, end: number): number {
  if (position + RECORD_HEADER_BYTES > end) return 0;
  const { view } = block;
  const at = position - block.start;
  const length = view.getUint32(at, true);
  const used = RECORD_HEADER_BYTES + view.getUint32(at + 52, true) + view.getUint32(at + 56, true);
  return used <= length && position + length <= end ? length : 0;
}

export function readRecord(block: Block, position: number, topic: string): DecodedRecord {
  const hasTimerId = (block.view.getUint8(position - block.start + 10) & HAS_TIMER_ID) !== 0;
  return {
    message: readMessage(block, position, topic),
    timerId: hasTimerId ? textOfRecord(block, position)[3] : undefined,
    provenance: provenanceOf(block, position),
    ttlMs: recordAt.ttlMs(block, position),
    deliverAtMs: recordAt.deliverAtMs(block, position),
  };
}

/** The message at `position`; its body is a view into the block, not a copy, and the block is lent from then on. `topic` is the name of its topic id. */
export function readMessage(block: Block, position: number, topic: string): StoredMessage {
  block.lent = true;
  return messageWith(bodyOf(block, position), block, position, topic);
}

/** The same with a body of its own: whoever keeps it keeps its bytes alone, not a block of 1 MiB. */
export function copyMessage(block: Block, position: number, topic: string): StoredMessage {
  return messageWith(Buffer.from(bodyOf(block, position)), block, position, topic);
}

function bodyOf({ bytes, view, start }: Block, position: number): Buffer {
  const at = position - start;
  const bodyAt = at + RECORD_HEADER_BYTES + view.getUint32(at + 52, true) + view.getUint32(at + 56, true);
  return bytes.subarray(bodyAt, at + view.getUint32(at, true));
}

function messageWith(body: Buffer, block: Block, position: number, topic: string): StoredMessage {
  const { view, bytes } = block;
  const at = position - block.start;
  const textAt = at + RECORD_HEADER_BYTES;
  const text = bytes.utf8Slice(textAt, textAt + view.getUint32(at + 52, true));
  const idEnd = text.indexOf('\0');
  const tagEnd = text.indexOf('\0', idEnd + 1);
  const keyEnd = text.indexOf('\0', tagEnd + 1);
  const timerIdEnd = endOf(text, keyEnd + 1);
  const flags = view.getUint8(at + 10);
  return {
    id: text.slice(0, idEnd),
    topic,
    tag: text.slice(idEnd + 1, tagEnd),
    key: flags & HAS_KEY ? text.slice(tagEnd + 1, keyEnd) : undefined,
    partition: view.getUint16(at + 8, true),
    offset: view.getFloat64(at + 12, true),
    headers: headersIn(text, timerIdEnd + 1),
    body,
    bornAtMs: view.getFloat64(at + 20, true),
    storedAtMs: view.getFloat64(at + 28, true),
    priority: view.getUint8(at + 11),
  };
}

/** Positions of the records between two positions of a block. */
export function positionsOf(block: Block, from: number, to: number): number[] {
  const positions: number[] = [];
  for (let position = from; position < to; position = endOfRecord(block, position, to))
    positions.push(position);
  return positions;
}
