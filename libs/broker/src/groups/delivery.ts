import { type Attempt, MessagingError, type StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { RawDelivery, SessionEvents, StoredRecord } from '../session.js';
import { hasProvenance } from '../topics/provenance.js';
import { copyMessage, readRecord } from '../topics/read-message.js';
import { bodyBytesOf, recordAt, validRecordLength } from '../topics/record.js';
import type { Actor } from '../trace/actors.js';
import { asDelivered } from './as-delivered.js';
import type { Cursor } from '../positions/cursor.js';
import type { SharedReads } from './shared-reads.js';
import type { Tries } from '../positions/tries.js';

/** The consumer that has a delivery. */
export interface Recipient {
  readonly clientName: string;
  /** As the trace names it. */
  readonly actor: Actor;
  readonly atMostOnce: boolean;
  readonly events: Pick<SessionEvents, 'copiesDeliveries'>;
  /** It is settled, or its lease is lost. */
  remove(delivery: Delivery): void;
  /** It is settled for good: nobody reads its record again. */
  release(delivery: Delivery): void;
}

/**
 * A message that is with a consumer. It is one object for each message under way, and knows where its record
 * lies rather than what is in it: over TCP the record's bytes travel as they are, and nothing is decoded here.
 */
export class Delivery implements RawDelivery, StoredRecord {
  readonly bodyBytes: number;
  /** When its lease runs out. */
  deadlineMs = 0;
  /** What its handler has, and may write into. */
  private own: StoredMessage | undefined;
  /** Decoded once for all groups that read it now. Nobody's own. */
  private shared: StoredMessage | undefined;
  /** The journal knows that it is under way: should the process end, that was a try. */
  isNoted = false;
  /** Of a message that was delivered before as another record. */
  private provenance: ReturnType<typeof asDelivered> | undefined;

  constructor(
    readonly deliveryId: number,
    readonly consumer: Recipient,
    readonly cursor: Cursor,
    readonly offset: number,
    /** Of this record alone; `attempt` and `history` count those of its past too. */
    readonly tries: Tries,
    readonly block: Block,
    readonly position: number,
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
    if (hasProvenance(block, position)) this.withProvenance();
  }

  get topic(): string {
    return this.cursor.partition.topic.name;
  }

  get key(): string | undefined {
    return recordAt.key(this.block, this.position);
  }

  /** Where its key waits in order: a retried message is of the topic that it came from. */
  private get laneTopic(): string {
    return this.cursor.isRetry ? this.withProvenance().message.topic : this.topic;
  }

  /** It is done with: the next message of its key may go out. */
  leaveLane(): void {
    const { group } = this.cursor;
    if (group.order === 'by-key') group.freeLane(this.laneTopic, this.key, this);
  }

  get asStored(): StoredRecord | undefined {
    return hasProvenance(this.block, this.position) ? undefined : this;
  }

  /**
   * Its handler's own, body and headers: what that writes into it reaches no other group, and is not in its next try.
   */
  get message(): StoredMessage {
    return (this.own ??= this.decode());
  }

  /** As the journal has it, whatever became of `message` meanwhile. Only until it is settled. */
  get stored(): StoredMessage {
    return hasProvenance(this.block, this.position)
      ? this.withProvenance().message
      : copyMessage(this.block, this.position, this.topic);
  }

  /** Within this process it may be looked at long after it was settled: from now on it can be. */
  keepReadable(sharedReads: SharedReads): void {
    const { block, position, cursor } = this;
    if (hasProvenance(block, position)) this.withProvenance();
    else if (cursor.partition.listeners.length === 1) void this.message;
    else this.shared = sharedReads.read(block, position, this.topic);
  }

  get attempt(): number {
    return hasProvenance(this.block, this.position) ? this.withProvenance().attempt : this.tries.attempt;
  }

  get history(): readonly Attempt[] {
    return hasProvenance(this.block, this.position) ? this.withProvenance().history : this.tries.history;
  }

  /** How often the broker has given it back by itself. */
  get automaticRedrives(): number {
    return hasProvenance(this.block, this.position) ? this.withProvenance().automaticRedrives : 0;
  }

  private decode(): StoredMessage {
    const { block, position, topic, shared } = this;
    if (shared) return copyOf(shared);
    if (!hasProvenance(block, position)) return copyMessage(block, position, topic);
    const { message } = this.withProvenance();
    return this.consumer.events.copiesDeliveries ? message : copyOf(message);
  }

  private withProvenance(): ReturnType<typeof asDelivered> {
    return (this.provenance ??= asDelivered(readRecord(this.block, this.position, this.topic), this.tries));
  }
}

const copyOf = (message: StoredMessage): StoredMessage => ({
  ...message,
  headers: { ...message.headers },
  body: Buffer.from(message.body),
});
