import {
  type OutgoingMessage,
  type SendReceipt,
  MAX_BATCH_MESSAGES,
  checkMessages,
  concernsOneMessage,
} from '#libs/messaging/port';
import type { CursorGroup } from '../positions/cursor.js';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import type { Out } from '../journal/journal.js';
import type { ProducerStamp } from '../session.js';
import type { TimerStore } from '../timers/timer-store.js';
import { hashOfId } from '../topics/id-hash.js';
import { NO_PROVENANCE } from '../topics/provenance.js';
import { DEFAULT_PRIORITY, NO_OFFSET, NO_PARTITION } from '../topics/record.js';
import { type RecordFields, maxRecordBytes, writeRecord } from '../topics/write-record.js';
import type { Partition, Topic } from '../topics/topics.js';
import { stepNumber } from '../trace/trace.js';
import { Admission } from './admission.js';
import { brokerIds } from './broker-ids.js';
import { type Duplicate, Duplicates, type DuplicateStores, type Loaded, isDelayed } from './duplicates.js';
import { MAX_OVERFLOW_BYTES, writeOverflow } from './overflow.js';
import { overflowReceipt, storedReceipt, waitingReceipt } from './receipts.js';
import type { Sequences } from './sequences.js';
import { maxStampBytes, writeStamp } from './stamp.js';

/** `missing`: nothing was written, because the record there has to be read first. */
type Written = { receipts: SendReceipt[]; sync: boolean; timeoutMs: number; missing?: number };

/** `known`: those that are stored already. `overflow`: by place in the call, whose dead letter a message of a full topic becomes. */
type Planned = {
  known: readonly (Duplicate | undefined)[];
  topics: readonly Topic[];
  bytes: number;
  overflow: ReadonlyMap<number, readonly CursorGroup[]> | undefined;
};

export type SendStores = DuplicateStores & {
  readonly timers: TimerStore;
  readonly sequences: Sequences;
  /** A record that counts from now on. `idHash` when its id is to be remembered. */
  readonly records: { applyOne(block: Block, position: number, idHash: number | undefined): void };
};

const NO_HEADERS = {};
/** A field that begins with a fraction holds doubles from the start: V8 need not change its layout for a large number. */
const DOUBLE = 0.5;
const STORED = stepNumber('stored');
const TIMER_SET = stepNumber('timer-set');

/** Sends: checks, recognises repetitions, chooses partitions, and writes all messages of a call as (part of) one entry. */
export class Sends {
  readonly newId = brokerIds();
  /** The record at hand: one object for all of them, which saves the collector the most work. */
  private readonly fields: RecordFields = {
    topicId: 0,
    partition: 0,
    offset: DOUBLE,
    id: '',
    tag: '',
    key: undefined,
    timerId: undefined,
    headers: NO_HEADERS,
    body: NO_PROVENANCE,
    bornAtMs: DOUBLE,
    storedAtMs: DOUBLE,
    deliverAtMs: DOUBLE,
    ttlMs: 0,
    priority: 0,
  };
  /** Hashes of the ids of the call at hand. */
  private readonly hashes = new Uint32Array(MAX_BATCH_MESSAGES);
  /** Where the record is that was written last. */
  private lastPosition = 0;

  readonly duplicates: Duplicates;

  constructor(
    private readonly host: BrokerHost,
    private readonly stores: SendStores,
  ) {
    this.duplicates = new Duplicates(host, stores);
  }

  /**
   * Stores the messages of one call. `stamp`: under this sequence, which must be the producer's next one.
   * `onReading` is told when something has to be read before anything can be written.
   */
  store(
    messages: readonly OutgoingMessage[],
    stamp?: ProducerStamp,
    onReading?: (stored: Promise<unknown>) => void,
  ): Promise<SendReceipt[]> {
    let written: Written;
    try {
      checkMessages(messages, this.host.now());
      written = this.write(messages, undefined, stamp);
    } catch (error) {
      return Promise.reject(this.refuse(error, messages.length, stamp));
    }
    if (written.missing !== undefined) {
      const stored = this.storeAfterLoading(messages, written.missing, stamp);
      onReading?.(stored);
      return stored;
    }
    return this.flushed(written);
  }

  /** The receipts once they are true, or at the end of their topics' patience saying that this is not known. */
  flushed({ receipts, sync, timeoutMs }: Written): Promise<SendReceipt[]> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => resolve(receipts.map((each) => ({ ...each, status: 'FLUSH_TIMEOUT' })));
      const timeout = timeoutMs === Infinity ? undefined : setTimeout(giveUp, timeoutMs);
      this.host.journal.flushThen(sync ? 'durable' : 'written', {
        resolve: () => {
          clearTimeout(timeout);
          resolve(receipts);
        },
        reject: (error) => {
          clearTimeout(timeout);
          reject(error);
        },
      });
    });
  }

  /** Some ids look like those of messages that are no longer in memory: reads them to be sure. */
  private async storeAfterLoading(
    messages: readonly OutgoingMessage[],
    first: number,
    stamp: ProducerStamp | undefined,
  ): Promise<SendReceipt[]> {
    const loaded = new Map<number, Block>();
    for (let missing: number | undefined = first; missing !== undefined;) {
      loaded.set(missing, await this.host.load(missing));
      // Again, because a newer instance may have registered while it was read.
      if (stamp) this.stores.sequences.admit(stamp);
      let written: Written;
      try {
        written = this.write(messages, loaded, stamp);
      } catch (error) {
        throw this.refuse(error, messages.length, stamp);
      }
      missing = written.missing;
      if (missing === undefined) return this.flushed(written);
    }
    return [];
  }

  /**
   * What a caller is told. A message refused for what is in it takes its number in the sequence nevertheless. Several
   * do not: some of them will come again, and what was sent behind them must not be stored before.
   */
  private refuse(error: unknown, messages: number, stamp: ProducerStamp | undefined): Error {
    if (stamp && messages === 1 && concernsOneMessage(error)) this.stores.sequences.refused(stamp, error);
    return error instanceof Error ? error : new Error(String(error));
  }

  /** What is to become of each message; or the position of a record that has to be read to know. Makes topics, and writes no message yet. */
  private plan(
    messages: readonly OutgoingMessage[],
    loaded: Loaded | undefined,
    now: number,
  ): Planned | number {
    const { host, stores } = this;
    const known = new Array<Duplicate | undefined>(messages.length);
    const topics = new Array<Topic>(messages.length);
    let bytes = 0;
    let newBytes = 0;
    let timers = 0;
    let admission: Admission | undefined;
    let overflow: Map<number, readonly CursorGroup[]> | undefined;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const topic = (topics[i] = host.topic(message.topic));
      this.hashes[i] = message.id === undefined ? 0 : hashOfId(message.id, topic.id);
      const found = this.duplicates.find(message, this.hashes[i]!, topic, now, loaded);
      if (typeof found === 'number') return found;
      known[i] = found;
      const recordBytes = maxRecordBytes(message);
      bytes += recordBytes;
      if (!found) newBytes += recordBytes;
      const delayed = isDelayed(message, now);
      if (delayed) timers += 1;
      if (topic.limit && !found && !delayed) {
        admission ??= new Admission();
        const groups = admission.admit(topic, topic.limit, recordBytes);
        if (groups) {
          (overflow ??= new Map<number, readonly CursorGroup[]>()).set(i, groups);
          bytes += groups.length * (recordBytes + MAX_OVERFLOW_BYTES);
          for (const group of groups) host.internalTopic('dead-letter', group.name);
        }
      }
    }
    // What is stored already is answered for on a full disk too.
    if (newBytes > 0) host.space.admit(bytes);
    if (timers > 0) stores.timers.checkRoom(timers);
    return { known, topics, bytes, overflow };
  }

  private write(
    messages: readonly OutgoingMessage[],
    loaded: Loaded | undefined,
    stamp: ProducerStamp | undefined,
  ): Written {
    const { host, stores } = this;
    const now = host.now();
    const planned = this.plan(messages, loaded, now);
    if (typeof planned === 'number') return { receipts: [], sync: false, timeoutMs: 0, missing: planned };
    const { known, topics, bytes, overflow } = planned;
    const out = host.journal.begin(
      EntryType.MESSAGES,
      stamp ? bytes + maxStampBytes(messages.length) : bytes,
    );
    const receipts: SendReceipt[] = [];
    const positions: number[] | undefined = stamp && [];
    let dense = true;
    let sync = false;
    let timeoutMs = 0;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const topic = topics[i]!;
      sync ||= topic.flush === 'sync';
      if (topic.flushTimeoutMs > timeoutMs) timeoutMs = topic.flushTimeoutMs;
      // Again, because the first of two may be of this very call.
      const duplicate =
        known[i] ?? (i > 0 ? this.duplicates.find(message, this.hashes[i]!, topic, now, loaded) : undefined);
      if (typeof duplicate === 'object') {
        receipts.push(duplicate.receipt);
        positions?.push(duplicate.position);
        dense = false;
        continue;
      }
      const groups = overflow?.get(i);
      if (groups) {
        const id = message.id ?? this.newId();
        const idHash = message.id === undefined ? undefined : this.hashes[i]!;
        const position = writeOverflow(host, stores, out, { ...message, id }, idHash, topic, groups);
        receipts.push(overflowReceipt(id, topic.name));
        positions?.push(position);
        dense = false;
        continue;
      }
      const partition = isDelayed(message, now) ? undefined : topic.partitionFor(message.key);
      receipts.push(this.place(out, message, this.hashes[i]!, topic, partition, now));
      positions?.push(this.lastPosition);
    }
    if (stamp && positions) stores.sequences.stored(stamp, writeStamp(out, stamp, positions, dense));
    host.journal.finish();
    return { receipts, sync, timeoutMs };
  }

  private place(
    out: Out,
    message: OutgoingMessage,
    idHash: number,
    topic: Topic,
    partition: Partition | undefined,
    now: number,
  ): SendReceipt {
    const { host } = this;
    const id = message.id ?? this.newId();
    const { fields } = this;
    fields.topicId = topic.id;
    fields.partition = partition ? partition.number : NO_PARTITION;
    fields.offset = partition ? partition.end : NO_OFFSET;
    fields.id = id;
    fields.tag = message.tag;
    fields.key = message.key;
    // One that is due already is not a timer any more, and its handle has to say so.
    fields.timerId = message.timerId ?? (partition && message.deliverAtMs !== undefined ? id : undefined);
    fields.headers = message.headers ?? NO_HEADERS;
    fields.body = message.body;
    fields.bornAtMs = now;
    fields.storedAtMs = now;
    fields.deliverAtMs = partition ? 0 : message.deliverAtMs!;
    fields.ttlMs = message.ttlMs ?? 0;
    fields.priority = message.priority ?? DEFAULT_PRIORITY;
    const position = writeRecord(out, fields, NO_PROVENANCE);
    const block = host.journal.current;
    block.end = out.start + out.at;
    this.lastPosition = position;
    // An id made here cannot be repeated by anybody: no need to remember it.
    this.stores.records.applyOne(block, position, message.id === undefined ? undefined : idHash);
    if (!partition) host.dueAt(message.deliverAtMs!);
    host.trace.addRecord(position, partition ? STORED : TIMER_SET, now);
    return partition
      ? storedReceipt(id, topic, partition.number, partition.end - 1)
      : waitingReceipt(id, topic);
  }
}
