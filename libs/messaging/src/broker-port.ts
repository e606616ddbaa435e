/**
 * The port that every broker implementation meets (embedded in process, embedded over TCP, Kafka).
 *
 * Deliberately not in it: contracts, parsing, the inbox, retry policies. Those are the delivery
 * pipeline's; a broker moves bytes, keeps positions and does what a delivery's verdict says.
 */
import type { BrokerAdmin } from './broker-admin.js';
import type { ErrorKind } from './errors.js';
import type { Attempt, DeadLetterReason, OutgoingMessage, SendReceipt, StoredMessage } from './message.js';

/** Which messages a group takes from one topic. */
export type TopicFilter = {
  /** A topic's name, or a prefix followed by `*` (`%DLQ%*`), which also takes topics created later. */
  topic: string;
  /** Tags to take; absent or empty: all. */
  tags?: readonly string[];
};

/**
 * What becomes of a message of an ordered group whose handler asks for a retry. The broker enforces it,
 * whatever delay the handler named:
 *
 * - `block`: it stays in its place until it succeeds or is dead-lettered; its key waits.
 * - `{ blockTimes: 3 }`: it may hold its key back three times. When it fails once more, it is dead-lettered as
 *   `retries-exhausted` and the key goes on. Lost leases count as tries.
 * - `skip`: it is dead-lettered at its first failure, so that its key never waits (`blockTimes: 0`). A
 *   redrive brings it back, out of order.
 */
export type FailingPolicy = 'block' | { blockTimes: number } | 'skip';

/**
 * Gives dead letters back without an operator, where another try can help and nothing else: those given up as
 * `retries-exhausted` whose last failure was of the kind `transient`. Oldest first, while the group has members.
 */
export type AutomaticRedrive = {
  /** From its death to the redrive. At least 1,000 ms. */
  coolDownMs: number;
  /** For one message in all its life: the count travels with it, and the last death is for an operator. Default 3, bound 100. */
  maxPerMessage?: number;
  /** Default 10, bound 10,000; shared with redrives by hand. */
  ratePerSecond?: number;
};

export type StartAt = 'earliest' | 'latest' | { timestampMs: number };

export type Subscription = {
  group: string;
  /**
   * Members may name different ones, and other tags, while a new version rolls out: each message goes to a member that
   * takes it. One that none of them takes any more waits for 10 minutes in which the group has members; then it is
   * dead-lettered as `rejected`, and from then on what nobody takes is passed over. So is a retry or redrive of it never
   * acknowledged unseen. A topic that nobody names any more is not read on: its place is kept, what is unread stays the
   * group's lag, until it is named again or the group is reset. Order, failing policy and redrives are the same for all members.
   */
  topics: readonly TopicFilter[];
  /** `shared`: members divide the messages. `broadcast`: every member gets every message stored after it joined; nothing is retried or persisted. Default `shared`. */
  mode?: 'shared' | 'broadcast';
  /**
   * `unordered` (default): any message may be in flight beside any other.
   * `by-key`: one message per key at a time, in offset order; a retry blocks its key only.
   */
  order?: 'unordered' | 'by-key';
  /** With `by-key`: what a failing message does to those behind it of the same key. Default `block`. */
  whenFailing?: FailingPolicy;
  /** Default: dead letters wait for an operator. */
  automaticRedrive?: AutomaticRedrive;
  /**
   * Where a group without a committed position starts. Default `earliest`. `timestampMs`, epoch milliseconds: with the first
   * message stored then or later.
   */
  startAt?: StartAt;
  /**
   * Which of those that wait comes first, where messages have priorities. `strict` (default): always the highest, so that
   * the lowest may starve. `weighted`: a level has one turn more than its number, and none starves. Not with `by-key`.
   */
  priorities?: 'strict' | 'weighted';
  /** Most messages handed to one call of the handler. Default 1, bound 10,000. */
  maxBatchMessages?: number;
  /** Most messages delivered and unsettled at this member. Default 256, bound 65,536. */
  maxInFlightMessages?: number;
  /** Most body bytes delivered and unsettled at this member. Default 16 MiB. */
  maxInFlightBytes?: number;
  /**
   * How long a delivery may stay unsettled before it is given to another member. Default 30,000 ms. With `subscribe` the client
   * keeps it alive while the delivery waits for its handler and while that is at work, for ten times as long at most; a
   * handler that extends it itself is left to that.
   */
  leaseMs?: number;
  /** `at-most-once` commits a message before it is handed over, as durably as its topic confirms sends. Default `at-least-once`. */
  guarantee?: 'at-least-once' | 'at-most-once';
};

/**
 * One delivery of one message to one member. It is settled once, by `ack`, `retry` or `deadLetter`;
 * each resolves when the broker has recorded it and rejects with `LEASE_LOST` when the delivery had
 * expired or its member had left: the message then belongs to somebody else.
 */
export interface DeliveredMessage {
  readonly message: StoredMessage;
  /** 1 for the first delivery to this group; counts lost leases too, but not what a member gave back when it left in good order. */
  readonly attempt: number;
  /** Earlier failed tries in this group, oldest first, at most the last 16. */
  readonly history: readonly Attempt[];
  /** Aborted when the lease is lost. */
  readonly signal: AbortSignal;
  ack(): Promise<void>;
  /** Deliver again after `delayMs`; the failure is added to the history. `kind` counts where the broker gives it up instead (`whenFailing`). */
  retry(failure: { delayMs: number; error: string; kind?: ErrorKind | undefined }): Promise<void>;
  /** Move to the group's dead letters. Recorded together with the ack: never both, never neither. */
  deadLetter(cause: { reason: DeadLetterReason; error: string; kind?: ErrorKind | undefined }): Promise<void>;
  /** Start the lease anew for `leaseMs` from now. */
  extend(leaseMs: number): Promise<void>;
}

export type BatchHandler = (batch: readonly DeliveredMessage[]) => Promise<void>;

export interface BrokerConsumer {
  /** Takes no new messages, waits up to `drainMs` (default 10,000) for those in flight, then leaves the group. */
  close(drainMs?: number): Promise<void>;
}

/** Messages that exist but are not visible until the local transaction has decided. */
export interface PendingTransaction {
  readonly transactionId: string;
  /** Makes all messages visible, atomically on the embedded broker. Repeating it is fine; after a rollback it rejects with `TRANSACTION_CONFLICT`. */
  commit(): Promise<SendReceipt[]>;
  /** Drops all messages. Repeating it is fine; after a commit it rejects with `TRANSACTION_CONFLICT`. */
  rollback(): Promise<void>;
}

export type TransactionDecision = 'commit' | 'rollback' | 'unknown';
/** Asked by the broker when no decision came. `messages` are those of the transaction, in sending order. */
export type CheckBack = (
  transactionId: string,
  messages: readonly OutgoingMessage[],
) => Promise<TransactionDecision>;

/** A connection to a broker. One per process is enough: everything on it is pipelined. */
export interface BrokerPort {
  /**
   * Stores the messages in order; resolves once all are as durable as their topics promise. All of
   * one call are stored atomically on the embedded broker. Rejects with a `MessagingError` whose
   * `kind` says whether another try can help.
   */
  send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]>;
  /** Hands the messages over without waiting for an answer; they may be lost. */
  sendOneway(messages: readonly OutgoingMessage[]): void;
  /** Stores half messages. A decision that never comes is asked of any client that registered `producerGroup` with `onCheckBack`. */
  prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<PendingTransaction>;
  onCheckBack(producerGroup: string, check: CheckBack): Promise<void>;
  /**
   * Takes back a delayed message, and every copy that waits under its handle. True when it will never be delivered because of this or
   * an earlier recall, a half message that was prepared before it included; false when it is unknown or was delivered.
   * A handle belongs to its topic: rejects with `INVALID_ARGUMENT` when several topics have it and none is named.
   */
  recall(timerId: string, topic?: string): Promise<boolean>;
  /**
   * Sets another time for a delayed message, and every copy that waits under its handle; one in the past delivers it at once.
   * True when it waits until then, as durably as it was sent: never both times, never neither. False when it is unknown,
   * was delivered or was recalled; a half message waits for no time before it is committed. Repeating it is harmless.
   * Rejects as `recall` does, and with `INVALID_ARGUMENT` for a time that a send would refuse.
   */
  reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean>;
  subscribe(subscription: Subscription, handler: BatchHandler): Promise<BrokerConsumer>;
  /** Pull: takes up to `maxMessages` now, waiting up to `waitMs` for the first. The caller settles each. */
  pull(
    subscription: Subscription,
    options: { maxMessages: number; waitMs: number },
  ): Promise<readonly DeliveredMessage[]>;
  readonly admin: BrokerAdmin;
  /** Resolves when the broker has answered, and so can be reached and has recovered its log; rejects after `timeoutMs`. */
  ready(timeoutMs?: number): Promise<void>;
  /** Drains consumers, flushes sends, closes the connection. */
  close(): Promise<void>;
}
