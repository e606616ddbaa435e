import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import { type Provenance, encodeProvenance } from './provenance.js';
import {
  HAS_KEY,
  HAS_TIMER_ID,
  IS_RETRY,
  NO_OFFSET,
  NO_PARTITION,
  RECORD_HEADER_BYTES,
  recordAt,
} from './record.js';
import { tagHashOf } from './text-hash.js';

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

type Copy = { partition: number; offset: number; storedAtMs: number; deliverAtMs: number };

/** Appends a copy that waits for its time. */
export const copyToTimers = (
  out: Out,
  block: Block,
  position: number,
  times: { storedAtMs: number; deliverAtMs: number },
): number => copyRecord(out, block, position, { partition: NO_PARTITION, offset: NO_OFFSET, ...times });

/** Appends a copy of the record at `position` of `block`; the journal position of its first byte is returned. */
export function copyRecord(out: Out, block: Block, position: number, copy: Copy): number {
  const from = position - block.start;
  const length = recordAt.length(block, position);
  const { view, at } = out;
  block.bytes.copy(out.bytes, at, from, from + length);
  view.setUint16(at + 8, copy.partition, true);
  view.setFloat64(at + 12, copy.offset, true);
  view.setFloat64(at + 28, copy.storedAtMs, true);
  view.setFloat64(at + 36, copy.deliverAtMs, true);
  out.at += length;
  return out.start + at;
}

/** Appends the record at `position` of `block` as it is. */
export function copyUnchanged(out: Out, block: Block, position: number): void {
  const from = position - block.start;
  out.at += block.bytes.copy(out.bytes, out.at, from, from + recordAt.length(block, position));
}
