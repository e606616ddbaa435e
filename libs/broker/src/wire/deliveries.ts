/**
 * Payloads of deliveries: a list of
 *
 *     u16 flags, f64 delivery id, u32 attempt, (JSON history), (topic), record
 *
 * in which the topic is left out when it is that of the delivery before. A message that is not delivered as it
 * was stored has its parts one by one in place of the record, like one that is sent.
 */
import { MessagingError } from '#libs/messaging/port';
import type { Attempt, StoredMessage } from '#libs/messaging/port';
import { type Block, blockOf } from '../journal/block.js';
import type { RawDelivery, StoredRecord } from '../session.js';
import { readMessage } from '../topics/read-message.js';
import { recordAt, validRecordLength } from '../topics/record.js';
import type { ByteReader, ByteWriter } from './bytes.js';
import {
  HEADERS,
  HISTORY,
  KEY,
  NO_HEADERS,
  PRIORITY,
  RECORD,
  SAME_NAMES,
  countHeaders,
  readHeaders,
  writeHeaders,
} from './message-parts.js';

const NO_HISTORY: readonly Attempt[] = Object.freeze([]);
const DEFAULT_PRIORITY = 4;
const DELIVERY_BYTES = 48;

export function writeDeliveries(writer: ByteWriter, deliveries: readonly RawDelivery[]): void {
  writer.u32(deliveries.length);
  let topic: string | undefined;
  let tag: string | undefined;
  for (const delivery of deliveries) {
    const stored = delivery.asStored;
    if (stored) {
      writeStored(writer, delivery, stored, stored.topic === topic);
      topic = stored.topic;
      tag = undefined;
    } else {
      const { message } = delivery;
      writeMessage(writer, delivery, message, message.topic === topic && message.tag === tag);
      topic = message.topic;
      tag = message.tag;
    }
  }
}

/** The record's bytes as they are: one copy of them costs less than each of a dozen fields, and no string is made. */
function writeStored(
  writer: ByteWriter,
  { deliveryId, attempt, history }: RawDelivery,
  { block, position, topic }: StoredRecord,
  same: boolean,
): void {
  writer.u16(RECORD | (same ? SAME_NAMES : 0) | (history.length === 0 ? 0 : HISTORY));
  writer.f64(deliveryId);
  writer.u32(attempt);
  if (history.length > 0) writer.json(history);
  if (!same) writer.string(topic);
  writer.raw(block.bytes, position - block.start, recordAt.length(block, position));
}

/** A message that is not as its record says: retries and dead letters, which bring a past with them. */
function writeMessage(
  writer: ByteWriter,
  { deliveryId, attempt, history }: RawDelivery,
  message: StoredMessage,
  same: boolean,
): void {
  const headers = countHeaders(message.headers);
  writer.u16(
    (same ? SAME_NAMES : 0) |
      (message.key === undefined ? 0 : KEY) |
      (headers === 0 ? 0 : HEADERS) |
      (message.priority === DEFAULT_PRIORITY ? 0 : PRIORITY) |
      (history.length === 0 ? 0 : HISTORY),
  );
  writer.f64(deliveryId);
  writer.u32(attempt);
  if (history.length > 0) writer.json(history);
  if (!same) {
    writer.string(message.topic);
    writer.string(message.tag);
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

export function readDeliveries(reader: ByteReader): RawDelivery[] {
  const count = reader.count(DELIVERY_BYTES);
  const deliveries: RawDelivery[] = [];
  const block = blockOf(reader.buffer, 0);
  let topic = '';
  let tag = '';
  for (let index = 0; index < count; index++) {
    const flags = reader.u16();
    const isRecord = (flags & RECORD) !== 0;
    const deliveryId = reader.f64();
    const attempt = reader.u32();
    const history = (flags & HISTORY) === 0 ? NO_HISTORY : (reader.json() as Attempt[]);
    if ((flags & SAME_NAMES) === 0) {
      topic = reader.string();
      tag = isRecord ? '' : reader.string();
    }
    if (isRecord) {
      const { position } = reader;
      const length = validRecordLength(block, position, reader.end);
      if (length === 0) throw new MessagingError('PROTOCOL_ERROR', 'a delivery holds a broken record');
      reader.skip(length);
      deliveries.push(new ReceivedRecord(deliveryId, attempt, history, block, position, topic));
    } else {
      deliveries.push({ deliveryId, attempt, history, message: readMessageParts(reader, flags, topic, tag) });
    }
  }
  return deliveries;
}

/** Decoded when its handler looks at it: thousands that wait for their turn are a few words each until then. */
class ReceivedRecord implements RawDelivery, StoredRecord {
  private decoded: StoredMessage | undefined;

  constructor(
    readonly deliveryId: number,
    readonly attempt: number,
    readonly history: readonly Attempt[],
    readonly block: Block,
    readonly position: number,
    readonly topic: string,
  ) {}

  get asStored(): StoredRecord {
    return this;
  }

  get message(): StoredMessage {
    return (this.decoded ??= readMessage(this.block, this.position, this.topic));
  }
}

function readMessageParts(reader: ByteReader, flags: number, topic: string, tag: string): StoredMessage {
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

/** Cuts deliveries into runs of at most `maxBytes` (or one message), histories not counted, so that each fits into a frame. */
export function* inFrames(
  deliveries: readonly RawDelivery[],
  maxBytes = DELIVERY_FRAME_BYTES,
): Generator<readonly RawDelivery[]> {
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < deliveries.length; index++) {
    const byteLength = sizeOf(deliveries[index] as RawDelivery);
    if (index > start && bytes + byteLength > maxBytes) {
      yield deliveries.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += byteLength;
  }
  yield start === 0 ? deliveries : deliveries.slice(start);
}

/** Far below the largest frame, since headers and histories come on top; and few bytes to join for a receiver that gets a frame in pieces. */
const DELIVERY_FRAME_BYTES = 32 * 1024;

function sizeOf(delivery: RawDelivery): number {
  const { asStored } = delivery;
  return asStored ? recordAt.length(asStored.block, asStored.position) : delivery.message.body.byteLength;
}
