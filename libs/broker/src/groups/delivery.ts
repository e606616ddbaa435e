import { type Attempt, MessagingError, type StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { RawDelivery, StoredRecord } from '../session.js';
import {
  bodyBytesOf,
  copyMessage,
  hasPast,
  keyOfRecord,
  readRecord,
  validRecordLength,
} from '../topics/record.js';
import { asDelivered } from './as-delivered.js';
import type { Consumer } from './consumer.js';
import type { Cursor } from './cursor.js';
import type { SharedReads } from './shared-reads.js';

/** How often a record was delivered, and what came of it. A retried message is a new record, and brings its past with it. */
export type Tries = {
  readonly attempt: number;
  readonly history: readonly Attempt[];
  /** Deliveries, the last ones in a row, that ended without a verdict. */
  readonly lost: number;
};

export const FIRST_TRY: Tries = { attempt: 1, history: Object.freeze([]), lost: 0 };

/**
 * A message that is with a consumer. It is one object for each message under way, and knows where its record
 * lies rather than what is in it: over TCP the record's bytes travel as they are, and nothing is decoded here.
 */
export class Delivery implements RawDelivery, StoredRecord {
  readonly bodyBytes: number;
  private decoded: StoredMessage | undefined;
  /** Of a message that was delivered before as another record. */
  private past: ReturnType<typeof asDelivered> | undefined;

  constructor(
    readonly deliveryId: number,
    readonly consumer: Consumer,
    readonly cursor: Cursor,
    readonly offset: number,
    /** Of this record alone; `attempt` and `history` count those of its past too. */
    readonly tries: Tries,
    readonly block: Block,
    readonly position: number,
    public deadlineMs: number,
    private readonly sharedReads: SharedReads,
  ) {
    this.bodyBytes = bodyBytesOf(block, position);
  }

  /** Reads as much of the record as whoever it is for would stumble over. Throws when it makes no sense. */
  check(): void {
    const { block, position } = this;
    if (validRecordLength(block, position, block.end) === 0) {
      throw new MessagingError('LOG_CORRUPT', `no whole record at position ${position}`);
    }
    // Only a past is more than lengths and text: it is JSON.
    if (hasPast(block, position)) this.withPast();
  }

  get topic(): string {
    return this.cursor.partition.topic.name;
  }

  get key(): string {
    return keyOfRecord(this.block, this.position);
  }

  /** Where its key waits in order: a retried message is of the topic that it came from. */
  get laneTopic(): string {
    return this.cursor.isRetry ? this.message.topic : this.topic;
  }

  get asStored(): StoredRecord | undefined {
    return hasPast(this.block, this.position) ? undefined : this;
  }

  get message(): StoredMessage {
    return (this.decoded ??= this.decode());
  }

  get attempt(): number {
    return hasPast(this.block, this.position) ? this.withPast().attempt : this.tries.attempt;
  }

  get history(): readonly Attempt[] {
    return hasPast(this.block, this.position) ? this.withPast().history : this.tries.history;
  }

  /** How often the broker has given it back by itself. */
  get automaticRedrives(): number {
    return hasPast(this.block, this.position) ? this.withPast().automaticRedrives : 0;
  }

  private decode(): StoredMessage {
    const { block, position, topic, cursor } = this;
    if (hasPast(block, position)) return this.withPast().message;
    if (cursor.partition.listeners.length === 1) return copyMessage(block, position, topic);
    return this.sharedReads.read(block, position, topic);
  }

  private withPast(): ReturnType<typeof asDelivered> {
    return (this.past ??= asDelivered(readRecord(this.block, this.position, this.topic), this.tries));
  }
}
