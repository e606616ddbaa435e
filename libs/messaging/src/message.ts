/**
 * What travels: messages as a producer hands them over, as a broker stores them, and as a consumer
 * receives them. Topic and tag follow RocketMQ: the topic names the owner, the tag the fact.
 */

import type { ErrorKind } from './errors.js';

/** The largest body a broker accepts, in bytes. A larger one is refused with `MESSAGE_TOO_LARGE`. */
export const MAX_BODY_BYTES = 1024 * 1024;

/** Header names that the messaging layer itself reads or writes; all others belong to the application. */
export const Header = {
  /** W3C trace context. */
  traceparent: 'traceparent',
  contentType: 'content-type',
  /** Name of the service that sent the message. */
  producer: 'producer',
  /** Contract version, a decimal integer. */
  version: 'version',
} as const;

/** A message on its way to a broker. */
export type OutgoingMessage = {
  topic: string;
  tag: string;
  /** Chooses the partition, and is the unit of ordering. Without one, partitions are taken in turn. */
  key?: string;
  /** Unique per message; made by the broker client when absent. A repeat within the de-duplication window is stored once. */
  id?: string;
  headers?: Readonly<Record<string, string>>;
  body: Uint8Array;
  /** Epoch milliseconds before which the message is not delivered. Absent: at once. */
  deliverAtMs?: number;
  /** Handle by which a delayed message is recalled or given another time. Default: the message id. A second message under a pending handle is a duplicate. */
  timerId?: string;
  /** Milliseconds after which an undelivered message is dead-lettered as `ttl-expired`; 1 or more. Absent: never. */
  ttlMs?: number;
  /** 0 (last) to 9 (first); default 4. */
  priority?: number;
};

/** What is known of a message that was sent. */
export type SendReceipt = {
  /** `SEND_OK`: as durable as the topic's flush policy promises. `FLUSH_TIMEOUT`: stored, but not known to be on disk. `DEAD_LETTERED`: the topic was full, the message is a dead letter of its groups. */
  status: 'SEND_OK' | 'FLUSH_TIMEOUT' | 'DEAD_LETTERED';
  messageId: string;
  topic: string;
  /** -1 for a dead letter, and while the message is delayed: a partition is chosen when it is due. */
  partition: number;
  /** Position within the partition; -1 while delayed. */
  offset: number;
  /** True when the broker had this message already; the rest then describes the first copy. */
  duplicate: boolean;
};

/** A message as the broker stored it. */
export type StoredMessage = {
  id: string;
  topic: string;
  tag: string;
  key: string | undefined;
  partition: number;
  offset: number;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
  /** When the producer made it, epoch milliseconds. */
  bornAtMs: number;
  /** When the broker wrote it, epoch milliseconds. */
  storedAtMs: number;
  priority: number;
};

/** One failed try at handling a message. */
export type Attempt = {
  /** 1 for the first delivery. */
  attempt: number;
  atMs: number;
  /** Name of the consumer (member) that failed. */
  consumer: string;
  error: string;
  /** No failure that anybody told: its lease ran out, or its consumer was lost. */
  isLost?: boolean;
};

/** Why a message ended as a dead letter. A closed list. */
export const DEAD_LETTER_REASONS = [
  'retries-exhausted',
  'ttl-expired',
  'queue-full',
  'not-parseable',
  'rejected',
] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

/** A dead letter with everything that is known about its end. */
export type DeadLetter = {
  /** Id of the original message; a redriven message keeps it. */
  id: string;
  group: string;
  /** Its place in the group's dead-letter topic. */
  offset: number;
  reason: DeadLetterReason;
  /** Of the failure that ended it, where its consumer knew; `transient` is what an automatic redrive waits for. */
  kind?: ErrorKind;
  error: string;
  /** How often the broker has given it back by itself. */
  automaticRedrives: number;
  attempts: readonly Attempt[];
  deadAtMs: number;
  /** The original message, with its original topic, partition and offset. */
  message: StoredMessage;
};

/** Topic that holds a group's dead letters. */
export const deadLetterTopic = (group: string): string => `%DLQ%${group}`;
/** Topic through which a group gets its failed messages again. */
export const retryTopic = (group: string): string => `%RETRY%${group}`;
