import {
  type Attempt,
  type DeadLetterReason,
  type ErrorKind,
  MessagingError,
  type StoredMessage,
} from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import type { Settlement } from '../session.js';
import { type Provenance, encodeProvenance } from '../topics/provenance.js';
import { NO_OFFSET, NO_PARTITION } from '../topics/record.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import { Actor } from '../trace/actors.js';
import { stepNumber } from '../trace/trace.js';
import { MAX_ERROR_CHARS, MAX_HISTORY } from './as-delivered.js';
import { type Consumer, MAX_LEASE_MS, bounded } from './consumer.js';
import type { Cursor } from '../positions/cursor.js';
import type { Delivery, Recipient } from './delivery.js';
import { recordedPlace } from './group-facts.js';
import { type Leases, recordHeldBack } from './leases.js';
import type { PendingAcks } from '../positions/pending-acks.js';

const ACKED = stepNumber('acked');
/** Longest wait before the next try. */
const MAX_RETRY_DELAY_MS = 40 * 24 * 3_600_000;

/** `consumer` is the one that gave up; nobody did when a time to live ran out. */
type Doomed = {
  message: StoredMessage;
  attempt: number;
  history: readonly Attempt[];
  automaticRedrives?: number;
  consumer?: Recipient;
};

type Failure = { error: string; kind?: ErrorKind | undefined };

/** @throws {MessagingError} `INVALID_ARGUMENT`; a lease until `NaN` would never end */
export function checkSettlement(settlement: Settlement): void {
  if (settlement.verdict === 'extend') bounded('leaseMs', settlement.leaseMs, MAX_LEASE_MS);
  if (settlement.verdict === 'retry' && Number.isNaN(settlement.delayMs)) {
    throw new MessagingError('INVALID_ARGUMENT', 'delayMs is not a number');
  }
}

/** What becomes of a delivery by its consumer's verdict: done, tried again, or dead. */
export class Settlements {
  constructor(
    private readonly host: BrokerHost,
    private readonly pendingAcks: PendingAcks,
    private readonly leases: Leases,
  ) {}

  /** False when the delivery is not (or no longer) with this consumer. */
  settle(consumer: Consumer | undefined, settlement: Settlement, now: number): boolean {
    const delivery = consumer?.inFlight.get(settlement.deliveryId);
    if (!consumer || !delivery) return false;
    if (settlement.verdict === 'extend') {
      delivery.deadlineMs = this.host.monotonicMs() + settlement.leaseMs;
      return true;
    }
    const { group } = delivery.cursor;
    if (settlement.verdict === 'release') {
      this.leases.giveBack([delivery]);
      return true;
    }
    consumer.remove(delivery);
    if (consumer.atMostOnce || group.mode === 'broadcast') this.pass(delivery);
    else if (settlement.verdict === 'ack') this.ack(delivery, now);
    else if (settlement.verdict === 'retry') this.retry(delivery, settlement);
    else this.giveUp(delivery, settlement);
    consumer.release(delivery);
    group.settledOne();
    return true;
  }

  private pass(delivery: Delivery): void {
    this.pendingAcks.settle(delivery.cursor, delivery.offset);
    delivery.leaveLane();
  }

  private ack(delivery: Delivery, now: number): void {
    this.pass(delivery);
    this.host.trace.addRecord(delivery.position, ACKED, now, delivery.consumer.actor);
  }

  private retry(delivery: Delivery, failure: Failure & { delayMs: number }): void {
    const { cursor, offset, stored: message, consumer, attempt, automaticRedrives } = delivery;
    const { group } = cursor;
    if (group.order === 'by-key' && delivery.tries.attempt > group.blockTimes) {
      return this.giveUp(delivery, { ...failure, reason: 'retries-exhausted' });
    }
    const now = this.host.now();
    const failed: Attempt = {
      attempt,
      atMs: now,
      consumer: consumer.clientName,
      error: failure.error.slice(0, MAX_ERROR_CHARS),
    };
    const delayMs = Math.min(Math.max(0, failure.delayMs), MAX_RETRY_DELAY_MS);
    this.host.trace.add(message.id, 'retried', now, consumer.actor, failed.error);
    if (group.order === 'by-key') return this.holdBack(delivery, failed, now + delayMs);
    const history = [...delivery.history, failed].slice(-MAX_HISTORY);
    const provenance = { origin: originOf(message), attempt, history, automaticRedrives };
    this.move(cursor, offset, message, provenance, delayMs);
  }

  /** An ordered group's message stays where it is, and its key with it. */
  private holdBack(delivery: Delivery, failed: Attempt, dueAtMs: number): void {
    const { cursor, offset, tries } = delivery;
    const { group } = cursor;
    const history = [...tries.history, failed].slice(-MAX_HISTORY);
    const again = { attempt: tries.attempt + 1, history, lost: 0 };
    recordHeldBack(this.host, delivery, { ...again, dueAtMs });
    group.putOff({ cursor, offset, ...again, dueAtMs });
    this.host.dueAt(dueAtMs);
    // Looks at all that wait: once for each of them would be seconds for a batch of 40,000.
    if (dueAtMs <= this.host.now()) group.releaseDue(this.host.now());
  }

  private giveUp(delivery: Delivery, cause: Failure & { reason: DeadLetterReason }): void {
    const { cursor, offset, stored: message, attempt, history, automaticRedrives, consumer } = delivery;
    this.deadLetter(cursor, offset, { message, attempt, history, automaticRedrives, consumer }, cause);
  }

  private deadLetter(
    cursor: Cursor,
    offset: number,
    doomed: Doomed,
    cause: Failure & { reason: DeadLetterReason },
  ): void {
    const { message, attempt, consumer, automaticRedrives = 0 } = doomed;
    const { group } = cursor;
    const now = this.host.now();
    const error = cause.error.slice(0, MAX_ERROR_CHARS);
    const last = consumer ? [{ attempt, atMs: now, consumer: consumer.clientName, error }] : [];
    const history = [...doomed.history, ...last].slice(-MAX_HISTORY);
    const { reason, kind } = cause;
    const deadLetter = { group: group.name, reason, ...(kind && { kind }), error, atMs: now };
    const provenance = { origin: originOf(message), attempt, history, automaticRedrives, deadLetter };
    this.move(cursor, offset, message, provenance, 0);
    const actor = consumer?.actor ?? new Actor(group.name);
    this.host.trace.add(message.id, 'dead-lettered', now, actor, `${cause.reason}: ${error}`);
  }

  /** Its TTL ran out before it was delivered. */
  expire(cursor: Cursor, offset: number, message: StoredMessage): void {
    if (cursor.group.mode === 'broadcast') {
      cursor.settle(offset);
      return;
    }
    const cause = { reason: 'ttl-expired', error: 'not delivered within its time to live' } as const;
    this.deadLetter(cursor, offset, { message, attempt: 0, history: [] }, cause);
  }

  /** No member takes it any more. */
  unwanted(
    cursor: Cursor,
    offset: number,
    { stored: message, attempt, history }: Pick<Delivery, 'stored' | 'attempt' | 'history'>,
  ): void {
    const { topic, tag } = message;
    const error = `no member of the group takes ${topic}.${tag} any more`;
    this.deadLetter(cursor, offset, { message, attempt, history }, { reason: 'rejected', error });
  }

  /** Settles the offset and stores the message elsewhere, in one entry. */
  private move(
    cursor: Cursor,
    offset: number,
    message: StoredMessage,
    provenance: Provenance,
    delayMs: number,
  ): void {
    const { host } = this;
    const { group, partition } = cursor;
    const to = provenance.deadLetter ? 'dead-letter' : 'retry';
    const topic = host.internalTopic(to, group.name);
    const target = topic.partitions[0]!;
    const now = host.now();
    const encodedProvenance = encodeProvenance(provenance);
    const facts = { groupId: group.id, place: recordedPlace(partition, offset), to };
    host.commit(EntryType.MOVED, facts, maxRecordBytes(message) + encodedProvenance.byteLength, (out) => {
      const record = {
        ...message,
        topicId: topic.id,
        partition: delayMs > 0 ? NO_PARTITION : target.number,
        offset: delayMs > 0 ? NO_OFFSET : target.end,
        isRetry: to === 'retry',
        storedAtMs: now,
        deliverAtMs: delayMs > 0 ? now + delayMs : 0,
        ttlMs: 0,
      };
      writeRecord(out, record, encodedProvenance);
    });
    group.freeLane(message.topic, message.key, { cursor, offset });
    if (delayMs > 0) host.dueAt(now + delayMs);
  }
}

const originOf = ({ topic, partition, offset, storedAtMs }: StoredMessage): Provenance['origin'] => ({
  topic,
  partition,
  offset,
  storedAtMs,
});
