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
import { NO_PARTITION } from '../topics/record.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import { Actor } from '../trace/actors.js';
import { stepNumber } from '../trace/trace.js';
import { MAX_ERROR_CHARS, MAX_HISTORY } from './as-delivered.js';
import { type Consumer, MAX_LEASE_MS, bounded } from './consumer.js';
import type { Cursor } from '../positions/cursor.js';
import type { Delivery, Recipient } from './delivery.js';
import { SUSPECT_AFTER } from './group.js';
import type { PendingAcks } from '../positions/pending-acks.js';
import type { HeldBack } from '../positions/tries.js';

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

/** What becomes of a delivery: done, tried again, dead, or lost to its member. */
export class Settlements {
  constructor(
    private readonly host: BrokerHost,
    private readonly pendingAcks: PendingAcks,
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
      this.giveBack([delivery]);
      return true;
    }
    consumer.remove(delivery);
    if (consumer.atMostOnce || group.mode === 'broadcast') this.forget(delivery);
    else if (settlement.verdict === 'ack') this.ack(delivery, now);
    else if (settlement.verdict === 'retry') this.retry(delivery, settlement);
    else this.giveUp(delivery, settlement);
    consumer.release(delivery);
    group.settledOne();
    return true;
  }

  private forget(delivery: Delivery): void {
    const { cursor, offset } = delivery;
    cursor.settle(offset);
    this.leaveLane(delivery);
  }

  private ack(delivery: Delivery, now: number): void {
    const { cursor, offset, position, consumer } = delivery;
    cursor.settle(offset);
    this.pendingAcks.note(cursor, offset);
    this.leaveLane(delivery);
    this.host.trace.addRecord(position, ACKED, now, consumer.actor);
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
    const { group, partition } = cursor;
    const history = [...tries.history, failed].slice(-MAX_HISTORY);
    const again = { attempt: tries.attempt + 1, history, lost: 0 };
    const place = [partition.topic.id, partition.number, offset];
    this.host.commit(EntryType.HELD_BACK, { groupId: group.id, place, ...again, dueAtMs });
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
    const facts = { groupId: group.id, place: [partition.topic.id, partition.number, offset], to };
    host.commit(EntryType.MOVED, facts, maxRecordBytes(message) + encodedProvenance.byteLength, (out) => {
      const record = {
        ...message,
        topicId: topic.id,
        partition: delayMs > 0 ? NO_PARTITION : target.number,
        offset: delayMs > 0 ? -1 : target.end,
        isRetry: to === 'retry',
        storedAtMs: now,
        deliverAtMs: delayMs > 0 ? now + delayMs : 0,
        ttlMs: 0,
      };
      writeRecord(out, record, encodedProvenance);
    });
    this.freeLane(cursor, offset, message.topic, message.key);
    if (delayMs > 0) host.dueAt(now + delayMs);
  }

  private leaveLane(delivery: Delivery): void {
    const { cursor, offset } = delivery;
    if (cursor.group.order === 'by-key') this.freeLane(cursor, offset, delivery.laneTopic, delivery.key);
  }

  /** The next message of the key may go out. */
  private freeLane(cursor: Cursor, offset: number, topic: string, key: string | undefined): void {
    if (!key) return;
    cursor.group.freeLane(topic, key, { cursor, offset });
  }

  /**
   * Takes deliveries away from their member and gives them to the group again: nobody knows what became of them, so
   * that counts as a try. Resolves nothing: the member is told by its caller.
   */
  loseLeases(deliveries: readonly Delivery[], error: string): void {
    const atMs = this.host.now();
    for (const delivery of deliveries) {
      this.takeBack(delivery, lostAgain(delivery, error, atMs));
      this.host.trace.add(delivery.stored.id, 'lease-expired', atMs, delivery.consumer.actor, error);
    }
    for (const group of new Set(deliveries.map(({ cursor }) => cursor.group))) group.wake();
  }

  /** Takes away from a member what it had for too long, and tells it. */
  leasesRanOut(member: Consumer, nowMs: number): void {
    const expired = member.expired(nowMs);
    if (expired.length === 0) return;
    this.loseLeases(expired, 'the lease ran out');
    member.events.leaseLost(
      member.id,
      expired.map(({ deliveryId }) => deliveryId),
    );
  }

  /** Gives the group deliveries again that nobody failed with: the member leaves in good order, or never began. */
  giveBack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const { attempt, history, lost } = delivery.tries;
      const again = { attempt, history, lost, dueAtMs: 0 };
      if (delivery.isNoted) this.note(delivery, again);
      this.takeBack(delivery, again);
    }
  }

  /**
   * Records before it is handed over that a delivery is under way: were the process to end, which broker and consumer
   * share, nobody else would know that this message was tried.
   */
  noteUnderWay(delivery: Delivery): void {
    this.note(delivery, lostAgain(delivery, 'the process ended', this.host.now()));
    delivery.isNoted = true;
  }

  private note({ cursor, offset }: Delivery, held: HeldBack): void {
    const { group, partition } = cursor;
    const place = [partition.topic.id, partition.number, offset];
    this.host.commit(EntryType.HELD_BACK, { groupId: group.id, place, ...held });
    // That is what the next start has to know. Now it is with somebody.
    cursor.heldBack.delete(offset);
  }

  private takeBack(delivery: Delivery, again: HeldBack): void {
    const { consumer, cursor, offset } = delivery;
    consumer.remove(delivery);
    if (consumer.atMostOnce || cursor.group.mode === 'broadcast') return this.forget(delivery);
    if (again.dueAtMs === 0) return cursor.group.makeReady({ cursor, offset, ...again });
    cursor.group.putOff({ cursor, offset, ...again });
    this.host.dueAt(again.dueAtMs);
  }
}

/** Of one that was lost as a suspect, alone with its consumer: its next try waits 1 s, 2 s, 4 s … 1 min, and all others go on meanwhile. */
const FIRST_SUSPECT_WAIT_MS = 1_000;
const MAX_SUSPECT_WAIT_MS = 60_000;

/** What is known of a delivery that ends, or would end, without a verdict. */
export function lostAgain({ tries, attempt, consumer }: Delivery, error: string, atMs: number): HeldBack {
  const failed: Attempt = { attempt, atMs, consumer: consumer.clientName, error, isLost: true };
  const lost = tries.lost + 1;
  const waitMs = Math.min(MAX_SUSPECT_WAIT_MS, FIRST_SUSPECT_WAIT_MS * 2 ** (lost - SUSPECT_AFTER - 1));
  return {
    attempt: tries.attempt + 1,
    history: [...tries.history, failed].slice(-MAX_HISTORY),
    lost,
    dueAtMs: lost > SUSPECT_AFTER ? atMs + waitMs : 0,
  };
}

const originOf = ({ topic, partition, offset, storedAtMs }: StoredMessage): Provenance['origin'] => ({
  topic,
  partition,
  offset,
  storedAtMs,
});
