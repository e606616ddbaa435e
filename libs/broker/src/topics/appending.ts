import { randomBytes } from 'node:crypto';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging';
import type { Engine } from '../engine/engine.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { maxStampBytes, writeStamp } from '../producers/stamp.js';
import type { ProducerStamp } from '../session.js';
import { MAX_BATCH_MESSAGES, checkMessages, concernsOneMessage } from './check-message.js';
import {
  DEFAULT_PRIORITY,
  NO_PARTITION,
  NO_PAST,
  type RecordFields,
  hashOf,
  maxRecordBytes,
  pastOfRecord,
  recordAt,
  textOfRecord,
  writeRecord,
} from './record.js';
import type { Group } from '../groups/group.js';
import type { Out } from '../journal/journal.js';
import { Admission } from './topic-limit.js';
import { type Partition, type Topic } from './topics.js';

/** Blocks that were read so that ids in them can be compared, by the position asked for. */
type Loaded = ReadonlyMap<number, Block>;

/** A record that is stored already, and what its sender is told. */
type Copy = { position: number; receipt: SendReceipt };

/** `missing`: nothing was written, because the record there has to be read first. */
type Written = { receipts: SendReceipt[]; sync: boolean; missing?: number };

const NO_HEADERS = {};

/** Sends: checks, recognises repetitions, chooses partitions, and writes all messages of a call as (part of) one entry. */
export class Appending {
  private readonly idPrefix = randomBytes(6).toString('base64url');
  private idStem = '';
  private lastId = 0;
  /** The record at hand: one object for all of them, which saves the collector the most work. */
  private readonly fields: RecordFields = {
    topicId: 0,
    partition: 0,
    offset: 0.5,
    id: '',
    tag: '',
    key: undefined,
    timerId: undefined,
    headers: NO_HEADERS,
    body: NO_PAST,
    bornAtMs: 0.5,
    storedAtMs: 0.5,
    deliverAtMs: 0.5,
    ttlMs: 0,
    priority: 0,
  };
  /** Hashes of the ids of the call at hand. */
  private readonly hashes = new Uint32Array(MAX_BATCH_MESSAGES);
  /** Where the record is that was written last. */
  private lastPosition = 0;

  constructor(private readonly engine: Engine) {}

  /** An id that no other message has, in this run or another. */
  newId(): string {
    const ending = this.lastId % ID_ENDINGS.length;
    if (ending === 0) {
      this.idStem = this.idPrefix + Math.floor(this.lastId / ID_ENDINGS.length).toString(36);
    }
    this.lastId += 1;
    return this.idStem + ID_ENDINGS[ending]!;
  }

  /**
   * Stores the messages of one call. `stamp`: under this sequence, which must be the producer's next one.
   * `onReading` is told when something has to be read before anything can be written.
   */
  append(
    messages: readonly OutgoingMessage[],
    stamp?: ProducerStamp,
    onReading?: (stored: Promise<unknown>) => void,
  ): Promise<SendReceipt[]> {
    let written: Written;
    try {
      checkMessages(messages, this.engine.now());
      written = this.write(messages, undefined, stamp);
    } catch (error) {
      return Promise.reject(this.refuse(error, stamp));
    }
    const { receipts, sync, missing } = written;
    if (missing !== undefined) {
      const stored = this.appendAfterLoading(messages, missing, stamp);
      onReading?.(stored);
      return stored;
    }
    return new Promise((resolve, reject) => {
      this.engine.journal.flushThen(sync, { resolve: () => resolve(receipts), reject });
    });
  }

  /** Some ids look like those of messages that are no longer in memory: reads them to be sure. */
  private async appendAfterLoading(
    messages: readonly OutgoingMessage[],
    first: number,
    stamp: ProducerStamp | undefined,
  ): Promise<SendReceipt[]> {
    const loaded = new Map<number, Block>();
    for (let missing: number | undefined = first; missing !== undefined;) {
      loaded.set(missing, await this.engine.load(missing));
      // Again, because a newer instance may have registered while it was read.
      if (stamp) this.engine.state.sequences.admit(stamp);
      let written: Written;
      try {
        written = this.write(messages, loaded, stamp);
      } catch (error) {
        throw this.refuse(error, stamp);
      }
      missing = written.missing;
      if (missing !== undefined) continue;
      await this.engine.journal.flush(written.sync);
      return written.receipts;
    }
    return [];
  }

  /** What a caller is told. A batch refused for what is in it takes its number in the sequence nevertheless. */
  private refuse(error: unknown, stamp: ProducerStamp | undefined): Error {
    if (stamp && concernsOneMessage(error)) this.engine.state.sequences.refused(stamp, error);
    return error instanceof Error ? error : new Error(String(error));
  }

  private write(
    messages: readonly OutgoingMessage[],
    loaded: Loaded | undefined,
    stamp: ProducerStamp | undefined,
  ): Written {
    const { engine } = this;
    const now = engine.now();
    const known = new Array<Copy | undefined>(messages.length);
    const topics = new Array<Topic>(messages.length);
    let bytes = 0;
    let timers = 0;
    let admission: Admission | undefined;
    let buried: Map<number, readonly Group[]> | undefined;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      this.hashes[i] = message.id === undefined ? 0 : hashOf(message.id);
      const found = this.findCopy(message, this.hashes[i]!, now, loaded);
      if (typeof found === 'number') return { receipts: [], sync: false, missing: found };
      known[i] = found;
      topics[i] = engine.topic(message.topic);
      const recordBytes = maxRecordBytes(message);
      bytes += recordBytes;
      const { limit } = topics[i]!;
      if (limit && !found && !isDelayed(message, now)) {
        admission ??= new Admission();
        const groups = admission.admit(topics[i]!, limit, recordBytes);
        if (groups) {
          (buried ??= new Map<number, readonly Group[]>()).set(i, groups);
          bytes += groups.length * (recordBytes + MAX_BURIAL_BYTES);
          for (const group of groups) engine.internalTopic('dead-letter', group.name);
        }
      }
      if (isDelayed(message, now)) timers += 1;
    }
    if (timers > 0) engine.state.timers.checkRoom(timers);
    if (stamp) bytes += maxStampBytes(messages.length);
    const out = engine.journal.begin(EntryType.MESSAGES, bytes);
    const receipts: SendReceipt[] = [];
    const positions: number[] | undefined = stamp && [];
    let dense = true;
    let sync = false;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const topic = topics[i]!;
      sync ||= topic.flush === 'sync';
      const delayed = isDelayed(message, now);
      // Again, because the first copy may be one of this very call.
      const copy = known[i] ?? (i > 0 ? this.findCopy(message, this.hashes[i]!, now, loaded) : undefined);
      if (typeof copy === 'object') {
        receipts.push(copy.receipt);
        positions?.push(copy.position);
        dense = false;
        continue;
      }
      const groups = buried?.get(i);
      if (groups) {
        receipts.push(this.bury(out, message, this.hashes[i]!, topic, groups, now));
        positions?.push(this.lastPosition);
        dense = false;
        continue;
      }
      const partition = delayed ? undefined : topic.partitionFor(message.key);
      receipts.push(this.place(out, message, this.hashes[i]!, topic, partition, now));
      positions?.push(this.lastPosition);
    }
    if (stamp && positions) engine.state.sequences.stored(stamp, writeStamp(out, stamp, positions, dense));
    engine.journal.finish();
    return { receipts, sync };
  }

  private place(
    out: Out,
    message: OutgoingMessage,
    idHash: number,
    topic: Topic,
    partition: Partition | undefined,
    now: number,
  ): SendReceipt {
    const { engine } = this;
    const id = message.id ?? this.newId();
    const { fields } = this;
    fields.topicId = topic.id;
    fields.partition = partition ? partition.number : NO_PARTITION;
    fields.offset = partition ? partition.end : -1;
    fields.id = id;
    fields.tag = message.tag;
    fields.key = message.key;
    fields.timerId = message.timerId;
    fields.headers = message.headers ?? NO_HEADERS;
    fields.body = message.body;
    fields.bornAtMs = now;
    fields.storedAtMs = now;
    fields.deliverAtMs = partition ? 0 : message.deliverAtMs!;
    fields.ttlMs = message.ttlMs ?? 0;
    fields.priority = message.priority ?? DEFAULT_PRIORITY;
    const position = writeRecord(out, fields, NO_PAST);
    const block = engine.journal.current;
    block.end = out.start + out.at;
    this.lastPosition = position;
    // An id made here cannot be repeated by anybody: no need to remember it.
    engine.state.applyRecord(block, position, message.id === undefined ? undefined : idHash);
    if (!partition) engine.dueAt(message.deliverAtMs!);
    engine.trace.add(id, partition ? 'stored' : 'timer-set', now);
    return {
      status: 'SEND_OK',
      messageId: id,
      topic: topic.name,
      partition: partition ? partition.number : -1,
      offset: partition ? partition.end - 1 : -1,
      duplicate: false,
    };
  }

  /** The topic is full: the message becomes a dead letter of each of its groups. */
  private bury(
    out: Out,
    message: OutgoingMessage,
    idHash: number,
    topic: Topic,
    groups: readonly Group[],
    now: number,
  ): SendReceipt {
    const { engine } = this;
    const id = message.id ?? this.newId();
    const origin = { topic: topic.name, partition: -1, offset: -1, storedAtMs: now };
    let first = 0;
    for (const { name: group } of groups) {
      const letters = engine.internalTopic('dead-letter', group);
      const deadLetter = { group, reason: 'queue-full', error: QUEUE_FULL, atMs: now } as const;
      const { partition, offset } = { partition: 0, offset: letters.partitions[0]!.end };
      const fields = { ...recordFields(message, id, now), topicId: letters.id, partition, offset, ttlMs: 0 };
      const position = writeRecord(out, { ...fields, past: { origin, attempt: 0, history: [], deadLetter } });
      const block = engine.journal.current;
      block.end = out.start + out.at;
      engine.state.applyRecord(block, position, message.id === undefined || first > 0 ? undefined : idHash);
      first ||= position;
      engine.trace.add(id, 'dead-lettered', now, group, `queue-full: ${QUEUE_FULL}`);
    }
    this.lastPosition = first;
    return buriedReceipt(id, topic.name, false);
  }

  /** An earlier copy; or the position of a record that has to be read to know; or undefined. */
  private findCopy(
    message: OutgoingMessage,
    idHash: number,
    now: number,
    loaded: Loaded | undefined,
  ): Copy | number | undefined {
    const { recentIds, timers } = this.engine.state;
    if (message.id !== undefined) {
      const candidates = recentIds.candidates(idHash);
      const found = candidates && this.search(candidates, loaded, (text) => text[0] === message.id);
      if (found !== undefined) return found;
    }
    if (!isDelayed(message, now)) return undefined;
    const handle = message.timerId ?? message.id;
    if (handle === undefined) return undefined;
    return this.search(timers.candidates(hashOf(handle)), loaded, (text) => (text[3] || text[0]) === handle);
  }

  private search(
    candidates: readonly number[] | undefined,
    loaded: Loaded | undefined,
    isIt: (text: string[]) => boolean,
  ): Copy | number | undefined {
    if (!candidates) return undefined;
    for (const position of candidates) {
      // Dropped by retention, and so beyond the window.
      if (position < this.engine.journal.start) continue;
      const block = loaded?.get(position) ?? this.engine.journal.find(position);
      if (!block) return position;
      if (isIt(textOfRecord(block, position))) return { position, receipt: this.receiptOf(block, position) };
    }
    return undefined;
  }

  /** What the sender of the record at `position` is told when it sends it again. */
  receiptOf(block: Block, position: number): SendReceipt {
    const number = recordAt.partition(block, position);
    const topic = this.engine.state.topics.byTopicId(recordAt.topicId(block, position));
    if (topic.deadLettersOf !== undefined) {
      const origin = pastOfRecord(block, position)?.origin.topic ?? topic.name;
      return buriedReceipt(textOfRecord(block, position)[0]!, origin, true);
    }
    return {
      status: 'SEND_OK',
      messageId: textOfRecord(block, position)[0]!,
      topic: topic.name,
      partition: number === NO_PARTITION ? -1 : number,
      offset: recordAt.offset(block, position),
      duplicate: true,
    };
  }
}

const QUEUE_FULL = 'the topic was full';
/** What a dead letter takes beside its message: reason, group and origin. */
const MAX_BURIAL_BYTES = 2_048;

const recordFields = (message: OutgoingMessage, id: string, now: number) => ({
  id,
  tag: message.tag,
  key: message.key,
  timerId: undefined,
  headers: message.headers ?? NO_HEADERS,
  body: message.body,
  bornAtMs: now,
  storedAtMs: now,
  deliverAtMs: 0,
  priority: message.priority ?? DEFAULT_PRIORITY,
});

const buriedReceipt = (messageId: string, topic: string, duplicate: boolean): SendReceipt => ({
  status: 'DEAD_LETTERED',
  messageId,
  topic,
  partition: -1,
  offset: -1,
  duplicate,
});
/** Counting by looking up is cheaper than by formatting a number for every message. */
const ID_ENDINGS = Array.from({ length: 36 * 36 }, (_, number) => number.toString(36).padStart(2, '0'));
const isDelayed = (message: OutgoingMessage, now: number): boolean =>
  message.deliverAtMs !== undefined && message.deliverAtMs > now;
