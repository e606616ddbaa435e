/** Payloads of deliveries: like those of sends, a list whose messages repeat neither topic nor tag. */
import type { Attempt, StoredMessage } from '#libs/messaging';
import type { RawDelivery } from '../session.js';
import type { ByteReader, ByteWriter } from './bytes.js';
import {
  HEADERS,
  HISTORY,
  KEY,
  NO_HEADERS,
  PRIORITY,
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
    const { message, history } = delivery;
    const headers = countHeaders(message.headers);
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
