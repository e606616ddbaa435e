/** What an operator asks of a broker, and what it answers. */
import type { DeadLetter, DeadLetterReason, StoredMessage } from './message.js';

export type ResetTarget =
  'earliest' | 'latest' | { offset: number; partition: number } | { timestampMs: number };

/**
 * Bounds how much of a topic may wait. Counted is what the slowest subscribed group has not settled (its retries and
 * dead letters have left the topic), or all that is stored as long as no group reads it. It is kept where a
 * producer can be answered, at `send` and `prepare`: a delayed message that is due, or a half message that is committed,
 * was accepted before and enters even a full topic.
 */
export type TopicLimit = {
  maxMessages?: number;
  /** Bytes as stored, headers included, from the slowest group's lowest unsettled message on. */
  maxBytes?: number;
  /**
   * `reject` (default): the whole send fails with `QUEUE_FULL`, nothing of it is stored. `dead-letter`: the
   * newcomer goes to the dead letters of every subscribed group as `queue-full`, its receipt says
   * `DEAD_LETTERED`; with no group to have a dead letter it is rejected. Never dropped silently.
   */
  whenFull?: 'reject' | 'dead-letter';
};
export type TopicOptions = TopicLimit & {
  /** Default 4. */
  partitions?: number;
  /** `sync` (default) answers a send when it is on disk, `async` when it is written. */
  flush?: 'sync' | 'async';
  /**
   * A send that waited for so long is answered with `FLUSH_TIMEOUT`: it is stored, and nobody knows whether a power cut would
   * leave it. 1 to 600,000. Absent: it waits for as long as its client does. A call to several topics waits for the most patient.
   */
  flushTimeoutMs?: number;
};

export type TopicInfo = {
  topic: string;
  partitions: { partition: number; startOffset: number; endOffset: number }[];
  /** Its maximum length, when it has one. */
  limit?: TopicLimit;
};
export type GroupInfo = {
  group: string;
  mode: 'shared' | 'broadcast';
  members: { id: string; client: string; inFlight: number }[];
  /** Stored messages not yet settled, retries included, dead letters not. */
  lag: number;
  inFlight: number;
  /** Waiting for their next try. */
  retrying: number;
  deadLetters: number;
  /** Dead letters that retention dropped since the group was made, see `DeadLetterRetention`. */
  deadLettersDropped: number;
  /** Deliveries settled since the broker started. */
  acked: number;
  positions: { topic: string; partition: number; committedOffset: number; endOffset: number }[];
  /** Where it stands still because a message cannot be read from its file: it is read again every second, and a reset takes the group past it. */
  unreadable: { topic: string; partition: number; offset: number; error: string }[];
  /**
   * What the group never got. Retention dropped it before it was settled, where the broker was told to drop what is not (what
   * was in flight then may have been handled nevertheless); or its record makes no sense.
   */
  missed: {
    /** Since the group was made. */
    messages: number;
    /** The newest 100 ranges, oldest first: offsets `from` to `to - 1`. */
    ranges: MissedRange[];
  };
};
export type MissedRange = { topic: string; partition: number; from: number; to: number; atMs: number };
export type StorageInfo = {
  /** Whether the disk is nearly full: sends are refused with `STORAGE_FULL`, and consumers drain. */
  isShort: boolean;
  /** Bytes free on the disk beside the reserve, when it was last asked; absent when it does not say. */
  freeBytes?: number;
  /** Bytes of the reserve that are there, and how many there should be. */
  reservedBytes: number;
  reserveBytes: number;
};

export type TimerInfo = { pending: number; pastDue: number; nextDueAtMs: number | undefined };
export type TransactionInfo = {
  pending: number;
  /** Gave no decision after the last check; waiting for an operator. */
  parked: { transactionId: string; producerGroup: string; preparedAtMs: number; checks: number }[];
};
/** One step of a message's life, as `trace` returns it. */
export type TraceEvent = {
  atMs: number;
  step:
    | 'stored'
    | 'timer-set'
    | 'timer-recalled'
    | 'timer-moved'
    | 'timer-fired'
    | 'prepared'
    | 'committed'
    | 'rolled-back'
    | 'checked'
    | 'delivered'
    | 'acked'
    | 'retried'
    | 'lease-expired'
    | 'dead-lettered'
    | 'edited'
    | 'redriven'
    | 'discarded';
  group?: string;
  /** The member of the group, by the name that its client gave itself. */
  consumer?: string;
  /** The machine that member runs on: its host name, or the address that it came from. */
  node?: string;
  detail?: string;
};

/** A message, where it was stored, and the steps that are known of it; none when they are forgotten. */
export type MessageTrace = {
  messageId: string;
  topic: string;
  partition: number;
  offset: number;
  storedAtMs: number;
  events: TraceEvent[];
};

/** Which of a group's dead letters; an absent field takes all. */
export type DeadLetterFilter = {
  reason?: DeadLetterReason;
  /** Of the original message. */
  topic?: string;
  tag?: string;
  /** Died before this time, epoch milliseconds. */
  deadBeforeMs?: number;
  /** Not behind this `DeadLetter.offset`: whatever dies from now on is left alone. */
  upToOffset?: number;
};
/** What replaces parts of a dead letter; an absent part stays. */
export type DeadLetterEdit = {
  body?: Uint8Array;
  /** All of them. */
  headers?: Readonly<Record<string, string>>;
};
export type RedriveOptions = {
  /** Only tell how many match. */
  dryRun?: boolean;
  /** Of all calls for the group together. Default 100, from 1 to 10,000. */
  ratePerSecond?: number;
  /** Most letters of this call. Default and bound 10,000. */
  limit?: number;
};
export type RedriveReport = {
  /** Matched when the call began. */
  matched: number;
  redriven: number;
  /** Match still, of those that were there when the call began. */
  remaining: number;
  /** The newest letter that was looked at; -1 when there was none. Pass it on, or a poison message that dies again is redriven for ever. */
  upToOffset: number;
};

/** What the audit tells of. A closed list. */
export const AUDIT_ACTIONS = [
  'edit-dead-letter',
  'redrive',
  'redrive-all',
  'automatic-redrive',
  'discard',
  'dead-letters-dropped',
  'decide-transaction',
  'reset-group',
  'delete-group',
  'delete-topic',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];
/** Recorded in the same entry of the log as what it tells of: neither is there without the other. */
export type AuditEntry = {
  atMs: number;
  /** The same as `atMs` unless it is an act of many steps. */
  untilMs: number;
  /** The client's name, as it introduced itself; `broker` for what the broker does by itself. */
  by: string;
  action: AuditAction;
  group?: string;
  /** Message id, filter, transaction id and decision, or where a group was reset to; cut to 512 characters. */
  subject?: string;
  /** Messages, transactions or groups concerned. */
  count: number;
};

/** Which part of a long list. */
export type PageQuery = {
  /** Partitions (of topics) or positions (of groups) on the page, a few more at the most. Default and bound 10,000. */
  limit?: number;
  /** `next` of the page before. */
  after?: string;
};
export type Page<Item> = {
  items: Item[];
  /** The first item is the last one of the page before, with more of its positions. */
  continues?: boolean;
  /** Absent: this is the end. */
  next?: string;
};

export interface BrokerAdmin {
  /** Creates the topic, or answers that it exists. A topic that is sent to before is made with 4 partitions. */
  createTopic(topic: string, options?: TopicOptions): Promise<void>;
  /** All of them, asked for page by page: 200 topics of 1,024 partitions do not fit into one answer. */
  topics(): Promise<TopicInfo[]>;
  topicsPage(query?: PageQuery): Promise<Page<TopicInfo>>;
  /** All of them, asked for page by page. */
  groups(): Promise<GroupInfo[]>;
  /** A group that has more positions than fit is told on several pages: each has the next of its positions, the first all the rest. */
  groupsPage(query?: PageQuery): Promise<Page<GroupInfo>>;
  timers(): Promise<TimerInfo>;
  transactions(): Promise<TransactionInfo>;
  /** Whether the broker has room for what it is sent. */
  storage(): Promise<StorageInfo>;
  /**
   * Decides a transaction in its producer's place, parked or not. The first decision wins, as for the producer:
   * rejects with `TRANSACTION_CONFLICT` after the opposite one, with `UNKNOWN_TRANSACTION` when there is none.
   */
  decideTransaction(transactionId: string, decision: 'commit' | 'rollback'): Promise<void>;
  /**
   * Reads without consuming, oldest first, from `offset`, at most `limit` (bound 10,000) and as many as fit into one
   * answer, one at least. Read on at the last message's offset + 1; an empty answer is the end.
   */
  read(topic: string, partition: number, offset: number, limit: number): Promise<StoredMessage[]>;
  /** Sets a group's position. Deliveries in flight lose their lease. */
  resetGroup(group: string, to: ResetTarget): Promise<void>;
  /**
   * Ends a group that nobody runs any more: its positions, retries and dead letters are gone, and what it had not settled no
   * longer keeps a bounded topic full or the journal long. Who subscribes under its name is a new group. Rejects with
   * `IN_USE` while it has members, with `UNKNOWN_GROUP` when it is not there.
   */
  deleteGroup(group: string): Promise<void>;
  /**
   * Ends a topic with all its messages, those included that are delayed or wait for a decision: they come to nobody. Who sends to
   * its name makes a new one. Rejects with `IN_USE` while a group with members reads it, with `UNKNOWN_TOPIC` when it is not there.
   */
  deleteTopic(topic: string): Promise<void>;
  /**
   * A group's dead letters, oldest first, at most `limit` (default 1,000, bound 10,000) and as many as fit into one
   * answer. The next page begins `afterOffset` of the last one's `offset`.
   */
  deadLetters(group: string, options?: { limit?: number; afterOffset?: number }): Promise<DeadLetter[]>;
  /** Gives a dead letter back to its group as a first attempt. False when it is not (or no longer) there: repeating it is harmless. */
  redrive(group: string, messageId: string): Promise<boolean>;
  /**
   * Gives back what matches, oldest first, at a pace that its consumers can bear. One call works for two seconds at
   * the most; ask again with the answer's `upToOffset` until nothing remains. A letter that was redriven is gone from
   * the list, in the same entry of the log: a call that a crash cuts short leaves none half done, the next one goes on
   * where it was, and two at the same time share the pace and never give a letter twice.
   */
  redriveAll(group: string, filter?: DeadLetterFilter, options?: RedriveOptions): Promise<RedriveReport>;
  /**
   * Changes a dead letter before it is given back: the group gets what is written here. Everything else about it stays, its
   * place and its history. False when it is not there. Rejects like a send of the same would.
   */
  editDeadLetter(group: string, messageId: string, edit: DeadLetterEdit): Promise<boolean>;
  /** Drops a dead letter for good. False when it is not there. */
  discard(group: string, messageId: string): Promise<boolean>;
  /**
   * The steps that are known of a message, oldest first; empty when it is unknown or forgotten (the embedded broker
   * remembers the last 100,000 steps, and after a kill all of them but those of the last second).
   */
  trace(messageId: string): Promise<TraceEvent[]>;
  /**
   * The same for all messages of a key, in one topic or in any, oldest first: the newest 100 of those among the newest
   * 10,000 of their partition. A delayed message is there once it is due, a half message once it is committed.
   */
  traceByKey(key: string, topic?: string): Promise<MessageTrace[]>;
  /** What was done to the broker by hand, and by itself with dead letters: the newest 1,000 acts at the most, oldest first. */
  audit(options?: { limit?: number; group?: string }): Promise<AuditEntry[]>;
}
