import { randomBytes } from 'node:crypto';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging';
import type { Engine } from '../engine/engine.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { checkMessages } from './check-message.js';
import {
  DEFAULT_PRIORITY,
  NO_PARTITION,
  hashOf,
  maxRecordBytes,
  recordAt,
  textOfRecord,
  writeRecord,
} from './record.js';
import { type Partition, type Topic } from './topics.js';

/** Blocks that were read so that ids in them can be compared, by the position asked for. */
type Loaded = ReadonlyMap<number, Block>;

/** `missing`: nothing was written, because the record there has to be read first. */
type Written = { receipts: SendReceipt[]; sync: boolean; missing?: number };

/** Sends: checks, recognises repetitions, chooses partitions, and writes all messages of a call as (part of) one entry. */
export class Appending {
  private readonly idPrefix = randomBytes(6).toString('base64url');
  private lastId = 0;

  constructor(private readonly engine: Engine) {}

  /** An id that no other message has, in this run or another. */
  newId(): string {
    this.lastId += 1;
    return `${this.idPrefix}-${this.lastId.toString(36)}`;
  }

  append(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    let written: Written;
    try {
      checkMessages(messages, this.engine.now());
      written = this.write(messages, undefined);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    const { receipts, sync, missing } = written;
    if (missing !== undefined) return this.appendAfterLoading(messages, missing);
    return new Promise((resolve, reject) => {
      this.engine.journal.flushThen(sync, { resolve: () => resolve(receipts), reject });
    });
  }

  /** Some ids look like those of messages that are no longer in memory: reads them to be sure. */
  private async appendAfterLoading(
    messages: readonly OutgoingMessage[],
    first: number,
  ): Promise<SendReceipt[]> {
    const loaded = new Map<number, Block>();
    for (let missing: number | undefined = first; missing !== undefined;) {
      loaded.set(missing, await this.engine.load(missing));
      const written = this.write(messages, loaded);
      missing = written.missing;
      if (missing !== undefined) continue;
      await this.engine.journal.flush(written.sync);
      return written.receipts;
    }
    return [];
  }

  private write(messages: readonly OutgoingMessage[], loaded: Loaded | undefined): Written {
    const { engine } = this;
    const now = engine.now();
    const known = new Array<SendReceipt | undefined>(messages.length);
    const topics = new Array<Topic>(messages.length);
    let bytes = 0;
    let timers = 0;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const found = this.findCopy(message, now, loaded);
      if (typeof found === 'number') return { receipts: [], sync: false, missing: found };
      known[i] = found;
      topics[i] = engine.topic(message.topic);
      bytes += maxRecordBytes(message);
      if (isDelayed(message, now)) timers += 1;
    }
    if (timers > 0) engine.state.timers.checkRoom(timers);
    const out = engine.journal.begin(EntryType.MESSAGES, bytes);
    const receipts: SendReceipt[] = [];
    const inThisCall = messages.length > 1 ? new Map<string, SendReceipt>() : undefined;
    let sync = false;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const topic = topics[i]!;
      sync ||= topic.flush === 'sync';
      const delayed = isDelayed(message, now);
      const handle = delayed ? `\0${message.timerId ?? message.id ?? receipts.length}` : undefined;
      const copy = known[i] ?? inThisCall?.get(message.id ?? '') ?? inThisCall?.get(handle ?? '');
      if (copy) {
        receipts.push({ ...copy, duplicate: true });
        continue;
      }
      const partition = delayed ? undefined : topic.partitionFor(message.key);
      const receipt = this.place(out, message, topic, partition, now);
      receipts.push(receipt);
      if (message.id !== undefined) inThisCall?.set(message.id, receipt);
      if (handle !== undefined) inThisCall?.set(handle, receipt);
    }
    engine.journal.finish();
    return { receipts, sync };
  }

  private place(
    out: Parameters<typeof writeRecord>[0],
    message: OutgoingMessage,
    topic: Topic,
    partition: Partition | undefined,
    now: number,
  ): SendReceipt {
    const { engine } = this;
    const id = message.id ?? this.newId();
    const position = writeRecord(out, {
      topicId: topic.id,
      partition: partition ? partition.number : NO_PARTITION,
      offset: partition ? partition.end : -1,
      id,
      tag: message.tag,
      key: message.key,
      timerId: message.timerId,
      headers: message.headers ?? NO_HEADERS,
      body: message.body,
      bornAtMs: now,
      storedAtMs: now,
      deliverAtMs: partition ? 0 : message.deliverAtMs!,
      ttlMs: message.ttlMs ?? 0,
      priority: message.priority ?? DEFAULT_PRIORITY,
    });
    const block = engine.journal.current;
    block.end = out.start + out.at;
    // An id made here cannot be repeated by anybody: no need to remember it.
    engine.state.applyRecord(block, position, message.id === undefined ? undefined : hashOf(id));
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

  /** The receipt of an earlier copy; or the position of a record that has to be read to know; or undefined. */
  private findCopy(
    message: OutgoingMessage,
    now: number,
    loaded: Loaded | undefined,
  ): SendReceipt | number | undefined {
    const { recentIds, timers } = this.engine.state;
    if (message.id !== undefined) {
      const { id } = message;
      const found = this.search(recentIds.candidates(hashOf(id)), loaded, (text) => text[0] === id);
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
  ): SendReceipt | number | undefined {
    if (!candidates) return undefined;
    for (const position of candidates) {
      // Dropped by retention, and so beyond the window.
      if (position < this.engine.journal.start) continue;
      const block = loaded?.get(position) ?? this.engine.journal.find(position);
      if (!block) return position;
      if (isIt(textOfRecord(block, position))) return this.receiptOf(block, position);
    }
    return undefined;
  }

  private receiptOf(block: Block, position: number): SendReceipt {
    const number = recordAt.partition(block, position);
    return {
      status: 'SEND_OK',
      messageId: textOfRecord(block, position)[0]!,
      topic: this.engine.state.topics.byTopicId(recordAt.topicId(block, position)).name,
      partition: number === NO_PARTITION ? -1 : number,
      offset: recordAt.offset(block, position),
      duplicate: true,
    };
  }
}

const NO_HEADERS = {};
const isDelayed = (message: OutgoingMessage, now: number): boolean =>
  message.deliverAtMs !== undefined && message.deliverAtMs > now;
