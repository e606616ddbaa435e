import type { StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import { type Provenance, provenanceOf } from './provenance.js';
import { HAS_KEY, RECORD_HEADER_BYTES, bodyOffset, recordAt } from './record.js';

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

export function readRecord(block: Block, position: number, topic: string): DecodedRecord {
  return {
    message: readMessage(block, position, topic),
    timerId: recordAt.timerId(block, position),
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

function bodyOf(block: Block, position: number): Buffer {
  const at = position - block.start;
  return block.bytes.subarray(at + bodyOffset(block, position), at + recordAt.length(block, position));
}

function messageWith(body: Buffer, block: Block, position: number, topic: string): StoredMessage {
  const { view, bytes } = block;
  const at = position - block.start;
  const textAt = at + RECORD_HEADER_BYTES;
  const text = bytes.utf8Slice(textAt, textAt + recordAt.textLength(block, position));
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
