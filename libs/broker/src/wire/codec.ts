/**
 * Payloads of the hot frames. Lists start with a u32 count; a message repeats neither topic nor tag
 * when they are those of the message before it, which is the common case in a batch.
 */
import { DEAD_LETTER_REASONS, MessagingError } from '#libs/messaging';
import type { Attempt, OutgoingMessage, SendReceipt, StoredMessage } from '#libs/messaging';
import type { ProducerStamp, RawDelivery, Settlement } from '../session.js';
import type { ByteReader, ByteWriter } from './bytes.js';

/** Bits of a message's u16 of flags: which optional parts follow. */
const SAME_NAMES = 1;
const KEY = 2;
const ID = 4;
const HEADERS = 8;
const DELIVER_AT = 16;
const TIMER_ID = 32;
const TTL = 64;
const PRIORITY = 128;
const HISTORY = 256;

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
const NO_HISTORY: readonly Attempt[] = Object.freeze([]);
const DEFAULT_PRIORITY = 4;
const DELIVERY_BYTES = 48;
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
    const headers = message.headers === undefined ? 0 : countKeys(message.headers);
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
    if (message.priority !== undefined) writer.u8(message.priority);
    writer.bytes(message.body);
  }
}

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
      status: (flags & 8) !== 0 ? 'DEAD_LETTERED' : (flags & 1) === 0 ? 'SEND_OK' : 'FLUSH_TIMEOUT',
      messageId: named ? reader.string() : (message?.id ?? ''),
      topic: named ? reader.string() : (message?.topic ?? ''),
      partition,
      offset,
      duplicate: (flags & 2) !== 0,
    });
  }
  return receipts;
}

export function writeDeliveries(writer: ByteWriter, deliveries: readonly RawDelivery[]): void {
  writer.u32(deliveries.length);
  let topic: string | undefined;
  let tag: string | undefined;
  for (const delivery of deliveries) {
    const { message, history } = delivery;
    const headers = countKeys(message.headers);
    const same = message.topic === topic && message.tag === tag;
    writer.u16(
      (same ? SAME_NAMES : 0) |
        (message.key === undefined ? 0 : KEY) |
        (headers === 0 ? 0 : HEADERS) |
        (message.priority === DEFAULT_PRIORITY ? 0 : PRIORITY) |
        (history.length === 0 ? 0 : HISTORY),
    );
    writer.f64(delivery.deliveryId);
    writer.u32(delivery.attempt);
    if (history.length > 0) writer.json(history);
    if (!same) {
      topic = message.topic;
      tag = message.tag;
      writer.string(topic);
      writer.string(tag);
    }
    writer.string(message.id);
    if (message.key !== undefined) writer.string(message.key);
    writer.i32(message.partition);
    writer.f64(message.offset);
    writer.f64(message.bornAtMs);
    writer.f64(message.storedAtMs);
    if (message.priority !== DEFAULT_PRIORITY) writer.u8(message.priority);
    if (headers > 0) writeHeaders(writer, message.headers, headers);
    writer.bytes(message.body);
  }
}

export function readDeliveries(reader: ByteReader): RawDelivery[] {
  const count = reader.count(DELIVERY_BYTES);
  const deliveries: RawDelivery[] = [];
  let topic = '';
  let tag = '';
  for (let index = 0; index < count; index++) {
    const flags = reader.u16();
    const deliveryId = reader.f64();
    const attempt = reader.u32();
    const history = (flags & HISTORY) === 0 ? NO_HISTORY : (reader.json() as Attempt[]);
    if ((flags & SAME_NAMES) === 0) {
      topic = reader.string();
      tag = reader.string();
    }
    deliveries.push({ deliveryId, attempt, history, message: readStored(reader, flags, topic, tag) });
  }
  return deliveries;
}

function readStored(reader: ByteReader, flags: number, topic: string, tag: string): StoredMessage {
  return {
    id: reader.string(),
    topic,
    tag,
    key: (flags & KEY) === 0 ? undefined : reader.string(),
    partition: reader.i32(),
    offset: reader.f64(),
    bornAtMs: reader.f64(),
    storedAtMs: reader.f64(),
    priority: (flags & PRIORITY) === 0 ? DEFAULT_PRIORITY : reader.u8(),
    headers: (flags & HEADERS) === 0 ? NO_HEADERS : readHeaders(reader),
    body: reader.bytes(),
  };
}

/** Cuts deliveries into runs of at most `maxBytes` of bodies (or one message), so that each fits into a frame. */
export function* inFrames(
  deliveries: readonly RawDelivery[],
  maxBytes = DELIVERY_FRAME_BYTES,
): Generator<readonly RawDelivery[]> {
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < deliveries.length; index++) {
    const { byteLength } = (deliveries[index] as RawDelivery).message.body;
    if (index > start && bytes + byteLength > maxBytes) {
      yield deliveries.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += byteLength;
  }
  yield start === 0 ? deliveries : deliveries.slice(start);
}

/** Far below the largest frame, since headers and histories come on top. */
const DELIVERY_FRAME_BYTES = 1024 * 1024;

const VERDICTS = ['ack', 'retry', 'dead-letter', 'extend'] as const;
const SETTLEMENT_BYTES = 9;

export function writeSettlements(writer: ByteWriter, settlements: readonly Settlement[]): void {
  writer.u32(settlements.length);
  for (const settlement of settlements) {
    writer.u8(VERDICTS.indexOf(settlement.verdict));
    writer.f64(settlement.deliveryId);
    switch (settlement.verdict) {
      case 'ack':
        break;
      case 'retry':
        writer.f64(settlement.delayMs);
        writer.string(settlement.error);
        break;
      case 'dead-letter':
        writer.u8(DEAD_LETTER_REASONS.indexOf(settlement.reason));
        writer.string(settlement.error);
        break;
      case 'extend':
        writer.f64(settlement.leaseMs);
        break;
    }
  }
}

export function readSettlements(reader: ByteReader): Settlement[] {
  const count = reader.count(SETTLEMENT_BYTES);
  const settlements: Settlement[] = [];
  for (let index = 0; index < count; index++) {
    const verdict = VERDICTS[reader.u8()];
    const deliveryId = reader.f64();
    switch (verdict) {
      case 'ack':
        settlements.push({ deliveryId, verdict });
        break;
      case 'retry':
        settlements.push({ deliveryId, verdict, delayMs: reader.f64(), error: reader.string() });
        break;
      case 'dead-letter': {
        const reason = DEAD_LETTER_REASONS[reader.u8()];
        if (reason === undefined) throw new MessagingError('PROTOCOL_ERROR', 'no such dead-letter reason');
        settlements.push({ deliveryId, verdict, reason, error: reader.string() });
        break;
      }
      case 'extend':
        settlements.push({ deliveryId, verdict, leaseMs: reader.f64() });
        break;
      default:
        throw new MessagingError('PROTOCOL_ERROR', 'no such verdict');
    }
  }
  return settlements;
}

/** The answer to a settle: how many were asked, and which of them were refused (usually none). */
export function writeSettled(writer: ByteWriter, recorded: readonly boolean[]): void {
  writer.u32(recorded.length);
  const refused: number[] = [];
  recorded.forEach((done, index) => {
    if (!done) refused.push(index);
  });
  writer.u32(refused.length);
  for (const index of refused) writer.u32(index);
}

export function readSettled(reader: ByteReader, asked: number): boolean[] {
  if (reader.u32() !== asked) {
    throw new MessagingError('PROTOCOL_ERROR', 'an answer to a settle has the wrong length');
  }
  const recorded = new Array<boolean>(asked).fill(true);
  const refused = reader.count(4);
  for (let index = 0; index < refused; index++) {
    const at = reader.u32();
    if (at >= asked) throw new MessagingError('PROTOCOL_ERROR', 'an answer to a settle names no settlement');
    recorded[at] = false;
  }
  return recorded;
}

function countKeys(headers: Readonly<Record<string, string>>): number {
  let count = 0;
  for (const _ in headers) count++;
  return count;
}

function writeHeaders(writer: ByteWriter, headers: Readonly<Record<string, string>>, count: number): void {
  writer.u16(count);
  for (const name in headers) {
    writer.string(name);
    writer.string(headers[name] as string);
  }
}

function readHeaders(reader: ByteReader): Record<string, string> {
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
