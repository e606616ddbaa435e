/**
 * Payloads of sends and their receipts. Lists start with a u32 count; a message repeats neither topic nor
 * tag when they are those of the message before it, which is the common case in a batch.
 */
import { MessagingError } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging/port';
import type { ProducerStamp } from '../session.js';
import type { ByteReader, ByteWriter } from './bytes.js';
import {
  DELIVER_AT,
  HEADERS,
  ID,
  KEY,
  NO_HEADERS,
  PRIORITY,
  SAME_NAMES,
  TIMER_ID,
  TTL,
  countHeaders,
  readHeaders,
  writeHeaders,
} from './message-parts.js';

const MESSAGE_BYTES = 6;
const RECEIPT_BYTES = 13;
const STATUS_BITS = { SEND_OK: 0, FLUSH_TIMEOUT: 1, DEAD_LETTERED: 8 } as const;

/** An append begins with its place in the producer's sequence: f64 producer id, 0 for none, u32 epoch, f64 sequence. */
export function writeStamp(writer: ByteWriter, stamp: ProducerStamp | undefined): void {
  writer.f64(stamp?.producerId ?? 0);
  if (stamp === undefined) return;
  writer.u32(stamp.epoch);
  writer.f64(stamp.sequence);
}

export function readStamp(reader: ByteReader): ProducerStamp | undefined {
  const producerId = reader.f64();
  return producerId === 0 ? undefined : { producerId, epoch: reader.u32(), sequence: reader.f64() };
}

export function writeMessages(writer: ByteWriter, messages: readonly OutgoingMessage[]): void {
  writer.u32(messages.length);
  let topic: string | undefined;
  let tag: string | undefined;
  for (const message of messages) {
    const headers = message.headers === undefined ? 0 : countHeaders(message.headers);
    const same = message.topic === topic && message.tag === tag;
    writer.u16(outgoingFlags(message, same, headers));
    if (!same) {
      topic = message.topic;
      tag = message.tag;
      writer.string(topic);
      writer.string(tag);
    }
    if (message.key !== undefined) writer.string(message.key);
    if (message.id !== undefined) writer.string(message.id);
    if (headers > 0) writeHeaders(writer, message.headers ?? NO_HEADERS, headers);
    if (message.deliverAtMs !== undefined) writer.f64(message.deliverAtMs);
    if (message.timerId !== undefined) writer.string(message.timerId);
    if (message.ttlMs !== undefined) writer.f64(message.ttlMs);
    if (message.priority !== undefined) writer.u8(byteOf(message.priority));
    writer.bytes(message.body);
  }
}

/** A priority that is none must not become one by being cut to a byte: the broker refuses 255. */
const byteOf = (priority: number): number => ((priority & 0xff) === priority ? priority : 255);

function outgoingFlags(message: OutgoingMessage, same: boolean, headers: number): number {
  return (
    (same ? SAME_NAMES : 0) |
    (message.key === undefined ? 0 : KEY) |
    (message.id === undefined ? 0 : ID) |
    (headers === 0 ? 0 : HEADERS) |
    (message.deliverAtMs === undefined ? 0 : DELIVER_AT) |
    (message.timerId === undefined ? 0 : TIMER_ID) |
    (message.ttlMs === undefined ? 0 : TTL) |
    (message.priority === undefined ? 0 : PRIORITY)
  );
}

export function readMessages(reader: ByteReader): OutgoingMessage[] {
  const count = reader.count(MESSAGE_BYTES);
  const messages: OutgoingMessage[] = [];
  let topic = '';
  let tag = '';
  for (let index = 0; index < count; index++) {
    const flags = reader.u16();
    if ((flags & SAME_NAMES) === 0) {
      topic = reader.string();
      tag = reader.string();
    }
    const message = blank(topic, tag);
    if ((flags & KEY) !== 0) message.key = reader.string();
    if ((flags & ID) !== 0) message.id = reader.string();
    if ((flags & HEADERS) !== 0) message.headers = readHeaders(reader);
    if ((flags & DELIVER_AT) !== 0) message.deliverAtMs = reader.f64();
    if ((flags & TIMER_ID) !== 0) message.timerId = reader.string();
    if ((flags & TTL) !== 0) message.ttlMs = reader.f64();
    if ((flags & PRIORITY) !== 0) message.priority = reader.u8();
    message.body = reader.bytes();
    messages.push(message);
  }
  return messages;
}

/** Every property in its place, so that all messages share one hidden class. */
function blank(topic: string, tag: string): OutgoingMessage {
  const absent = undefined;
  return {
    topic,
    tag,
    key: absent,
    id: absent,
    headers: absent,
    body: EMPTY,
    deliverAtMs: absent,
    timerId: absent,
    ttlMs: absent,
    priority: absent,
  } as unknown as OutgoingMessage;
}

const EMPTY = new Uint8Array(0);

/** Receipts leave out what the asking side knows: topic and id of its messages, unless they differ. */
export function writeReceipts(
  writer: ByteWriter,
  messages: readonly OutgoingMessage[],
  receipts: readonly SendReceipt[],
): void {
  writer.u32(receipts.length);
  for (let index = 0; index < receipts.length; index++) {
    const receipt = receipts[index] as SendReceipt;
    const message = messages[index];
    const named =
      message === undefined || receipt.messageId !== message.id || receipt.topic !== message.topic;
    writer.u8(STATUS_BITS[receipt.status] | (receipt.duplicate ? 2 : 0) | (named ? 4 : 0));
    writer.i32(receipt.partition);
    writer.f64(receipt.offset);
    if (!named) continue;
    writer.string(receipt.messageId);
    writer.string(receipt.topic);
  }
}

export function readReceipts(reader: ByteReader, messages: readonly OutgoingMessage[]): SendReceipt[] {
  const count = reader.count(RECEIPT_BYTES);
  const receipts: SendReceipt[] = [];
  for (let index = 0; index < count; index++) {
    const flags = reader.u8();
    const partition = reader.i32();
    const offset = reader.f64();
    const named = (flags & 4) !== 0;
    const message = messages[index];
    if (!named && message?.id === undefined) {
      throw new MessagingError('PROTOCOL_ERROR', 'a receipt names no message');
    }
    receipts.push({
      status: statusIn(flags),
      messageId: named ? reader.string() : (message?.id ?? ''),
      topic: named ? reader.string() : (message?.topic ?? ''),
      partition,
      offset,
      duplicate: (flags & 2) !== 0,
    });
  }
  return receipts;
}

function statusIn(flags: number): SendReceipt['status'] {
  if ((flags & 8) !== 0) return 'DEAD_LETTERED';
  return (flags & 1) === 0 ? 'SEND_OK' : 'FLUSH_TIMEOUT';
}
