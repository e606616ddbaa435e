import {
  type Attempt,
  type DeadLetter,
  type DeadLetterEdit,
  type DeadLetterReason,
  type ErrorKind,
  type StoredMessage,
  deadLetterTopic,
} from '#libs/messaging/port';
import type { LogRecord, NewRecord } from '../client/kafka-client.js';
import { carry, readRecord } from '../sending/records.js';
import { kafkaTopicOf } from '../topic-names.js';

/** Of a group's dead-letter topic: compacted, so that a letter is there until its tombstone is. One partition keeps the order of deaths. */
export const LETTER_TOPIC = {
  partitions: 1,
  settings: { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.1' },
};

/** Read by whoever subscribes to dead letters as to any topic. */
const TOLD = 'x-dead-letter-';

export type Death = {
  reason: DeadLetterReason;
  error: string;
  kind: ErrorKind | undefined;
  deadAtMs: number;
  automaticRedrives: number;
  attempts: readonly Attempt[];
};

/** A message dies once at a time for a group: the letter's key in the compacted topic. */
export const letterKey = ({ topic, partition, offset }: StoredMessage): string =>
  `${topic}/${partition}/${offset}`;

export function letterRecord(group: string, message: StoredMessage, death: Death): NewRecord {
  const place = { topic: kafkaTopicOf(deadLetterTopic(group)), partition: 0 };
  const tries = { attempt: 1, history: death.attempts, automaticRedrives: death.automaticRedrives };
  const record = carry(message, place, { tries });
  const { reason, error, kind, deadAtMs } = death;
  return {
    ...record,
    key: Buffer.from(letterKey(message)),
    headers: {
      ...record.headers,
      [`${TOLD}reason`]: reason,
      [`${TOLD}error`]: error,
      [`${TOLD}group`]: group,
      'sp.death': JSON.stringify({ reason, error, kind, deadAtMs }),
      ...(message.key !== undefined && { 'sp.key': message.key }),
    },
  };
}

export const tombstone = (group: string, key: string): NewRecord => ({
  topic: kafkaTopicOf(deadLetterTopic(group)),
  partition: 0,
  key: Buffer.from(key),
  value: null,
  headers: {},
});

/** The same letter with another body or other headers. */
export function editedRecord(letter: DeadLetter, { body, headers }: DeadLetterEdit): NewRecord {
  const message = {
    ...letter.message,
    ...(body !== undefined && { body }),
    ...(headers !== undefined && { headers }),
  };
  const death = { ...letter, kind: letter.kind };
  const record = letterRecord(letter.group, message, death);
  return { ...record, headers: { ...record.headers, 'sp.place': String(letter.offset) } };
}

export function readLetter(group: string, record: LogRecord): DeadLetter {
  const { message, tries } = readRecord(record);
  const death = JSON.parse(record.headers['sp.death'] ?? '{}') as Omit<Death, 'attempts'>;
  const headers = Object.fromEntries(
    Object.entries(message.headers).filter(([name]) => !name.startsWith(TOLD)),
  );
  return {
    id: message.id,
    group,
    // An edit is a record of its own; the letter keeps its place.
    offset: Number(record.headers['sp.place'] ?? record.offset),
    reason: death.reason,
    ...(death.kind !== undefined && { kind: death.kind }),
    error: death.error,
    automaticRedrives: tries.automaticRedrives,
    attempts: tries.history,
    deadAtMs: death.deadAtMs,
    message: { ...message, key: record.headers['sp.key'], headers },
  };
}
