import { MessagingError, type Attempt, type OutgoingMessage, type StoredMessage } from '#libs/messaging/port';
import type { LogRecord, NewRecord, Place } from '../client/kafka-client.js';
import { topicOf } from '../topic-names.js';

/**
 * What a message has beside key, body and the application's headers travels as headers of a Kafka record:
 *
 *     sp.id  sp.tag  sp.born (epoch ms)  sp.ttl (ms)          of every message
 *     sp.origin {topic, partition, offset, storedAtMs}         of what comes back through a retry topic, or is dead
 *     sp.due (epoch ms)  sp.tries {attempt, history, redrives}
 */
const PREFIX = 'sp.';

/** A message's place before it failed. */
export type Origin = Place & { offset: number; storedAtMs: number };
export type Tries = {
  /** Of the next delivery; 1 for the first. */
  attempt: number;
  history: readonly Attempt[];
  automaticRedrives: number;
};

/** What a record is about. */
export type ReadRecord = {
  message: StoredMessage;
  /** When its time to live ends, epoch milliseconds. */
  expiresAtMs: number;
  /** Not to be delivered before, epoch milliseconds; 0: at once. */
  dueAtMs: number;
  tries: Tries;
};

const FIRST_TRY: Tries = { attempt: 1, history: [], automaticRedrives: 0 };

/** @throws {MessagingError} `INVALID_ARGUMENT` for a header that is ours */
export function toRecord(message: OutgoingMessage & { id: string }, place: Place, nowMs: number): NewRecord {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    if (name.startsWith(PREFIX))
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `header ${name}: names that begin with ${PREFIX} are taken`,
      );
    headers[name] = value;
  }
  headers['sp.id'] = message.id;
  headers['sp.tag'] = message.tag;
  headers['sp.born'] = String(nowMs);
  if (message.ttlMs !== undefined) headers['sp.ttl'] = String(message.ttlMs);
  return { ...place, key: keyOf(message.key), value: asBuffer(message.body), headers };
}

const keyOf = (key: string | undefined): Buffer | null => (key === undefined ? null : Buffer.from(key));

const asBuffer = (body: Uint8Array): Buffer => Buffer.from(body.buffer, body.byteOffset, body.byteLength);

/** Of a record that others wrote, its place is its id and it has no tag. */
export function readRecord(record: LogRecord): ReadRecord {
  const { headers: all, key, value, timestampMs } = record;
  const origin = parse<Origin>(all['sp.origin']) ?? { ...record, storedAtMs: timestampMs };
  const headers = Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith(PREFIX)));
  const topic = topicOf(origin.topic) ?? origin.topic;
  const ttlMs = Number(all['sp.ttl'] ?? Infinity);
  return {
    message: {
      id: all['sp.id'] ?? `${topic}/${origin.partition}/${origin.offset}`,
      topic,
      tag: all['sp.tag'] ?? '',
      key: key === null ? undefined : key.toString(),
      partition: origin.partition,
      offset: origin.offset,
      headers,
      body: value ?? Buffer.alloc(0),
      bornAtMs: Number(all['sp.born'] ?? timestampMs),
      storedAtMs: origin.storedAtMs,
      priority: 4,
    },
    expiresAtMs: origin.storedAtMs + ttlMs,
    dueAtMs: Number(all['sp.due'] ?? 0),
    tries: parse<Tries>(all['sp.tries']) ?? FIRST_TRY,
  };
}

function parse<T>(text: string | undefined): T | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/** The same message on another way: to be tried again, or dead. */
export function carry(
  message: StoredMessage,
  place: Place,
  about: { tries: Tries; dueAtMs?: number; ttlMs?: number },
): NewRecord {
  const { topic, partition, offset, storedAtMs } = message;
  const origin: Origin = { topic, partition, offset, storedAtMs };
  return {
    ...place,
    key: keyOf(message.key),
    value: asBuffer(message.body),
    headers: {
      ...message.headers,
      'sp.id': message.id,
      'sp.tag': message.tag,
      'sp.born': String(message.bornAtMs),
      'sp.origin': JSON.stringify(origin),
      'sp.tries': JSON.stringify(about.tries),
      ...(about.dueAtMs !== undefined && { 'sp.due': String(Math.ceil(about.dueAtMs)) }),
      ...(about.ttlMs !== undefined && { 'sp.ttl': String(about.ttlMs) }),
    },
  };
}
