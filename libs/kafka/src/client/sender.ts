import { MessagingError } from '#libs/messaging/port';
import { kafkaErrorType, messagingError } from './failures.js';
import type { NewRecord } from './kafka-client.js';

/** A node refuses a batch above `max.message.bytes`, by default 1 MiB; with room for keys and headers. One record may be larger. */
const MAX_REQUEST_BYTES = 768 * 1024;
/** Waiting at one sender, bodies only. Beyond it a send is refused with `BUFFER_FULL`. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

export type SentPartition = { partition: number; baseOffset: string | undefined };

/** One idempotent producer of the package, for one topic. */
export interface RawProducer {
  send(records: readonly NewRecord[]): Promise<readonly SentPartition[]>;
  disconnect(): Promise<void>;
}

type Call = {
  records: readonly NewRecord[];
  bytes: number;
  resolve: (offsets: number[]) => void;
  reject: (error: MessagingError) => void;
};

/**
 * Sends to some partitions of one topic, through one idempotent producer, one request after the other. kafkajs gives a
 * request's sequence numbers back before it tries again: a second one under way takes them, and Kafka drops one of the two as a
 * repeat of the other though both are confirmed. So what is called meanwhile is gathered:
 *
 *     calls     a   b c   d e f          g
 *     requests  [a────────][b c d e f────────][g…     the answer to a is lost: it is tried again as it was
 *
 * After a failure the numbers are not known to be used or not, and the next request would be taken for a repeat. So the
 * producer is replaced, and what it was sending has an unknown outcome for those who sent it. That is also the way out of
 * `UNKNOWN_PRODUCER_ID` and `OUT_OF_ORDER_SEQUENCE_NUMBER`, after which a producer of kafkajs never sends again.
 */
export class Sender {
  private waiting: Call[] = [];
  private waitingBytes = 0;
  private producer: Promise<RawProducer> | undefined;
  /** Ends with the request that is under way, and those that wait behind it. */
  private sending: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly connect: () => Promise<RawProducer>,
    private readonly replaced: (error: MessagingError) => void,
  ) {}

  get idle(): boolean {
    return this.sending === undefined;
  }

  append(records: readonly NewRecord[]): Promise<number[]> {
    if (this.closed) return Promise.reject(new MessagingError('CLOSED', 'the client is closed'));
    const bytes = records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    if (this.waiting.length > 0 && this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      const detail = `${this.waitingBytes} bytes wait for Kafka, the bound is ${MAX_WAITING_BYTES}`;
      return Promise.reject(new MessagingError('BUFFER_FULL', detail));
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ records, bytes, resolve, reject });
      this.waitingBytes += bytes;
      this.sending ??= this.sendWaiting();
    });
  }

  /** Sends what waits, then gives the connection up. */
  async close(): Promise<void> {
    this.closed = true;
    await this.sending;
    const producer = await this.producer?.catch(() => undefined);
    await producer?.disconnect().catch(() => {
      // Nothing of ours is under way on it.
    });
  }

  private async sendWaiting(): Promise<void> {
    // After this tick, so that all its calls share a request.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) await this.sendOne(this.takeRequest());
    this.sending = undefined;
  }

  private takeRequest(): Call[] {
    let bytes = 0;
    let count = 0;
    for (const call of this.waiting) {
      bytes += call.bytes;
      if (count > 0 && bytes > MAX_REQUEST_BYTES) break;
      count++;
    }
    const calls = this.waiting.splice(0, count);
    for (const call of calls) this.waitingBytes -= call.bytes;
    return calls;
  }

  /** Never rejects: the calls have their answers. */
  private async sendOne(calls: readonly Call[]): Promise<void> {
    try {
      const producer = await (this.producer ??= this.connect());
      const answer = await producer.send(calls.flatMap(({ records }) => records));
      giveOffsets(calls, answer);
    } catch (error) {
      const failure = outcomeOf(error);
      this.replace(failure);
      for (const { reject } of calls) reject(failure);
    }
  }

  private replace(failure: MessagingError): void {
    const old = this.producer;
    this.producer = undefined;
    this.replaced(failure);
    // In the background: a node that does not answer would hold up what waits.
    old
      ?.then((producer) => producer.disconnect())
      .catch(() => {
        // It never connected, or is gone already.
      });
  }
}

/** Sequence errors say nothing of what is stored: an earlier try of the same may be. */
const SEQUENCE_ERRORS = new Set([
  'UNKNOWN_PRODUCER_ID',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
]);

function outcomeOf(error: unknown): MessagingError {
  const type = kafkaErrorType(error);
  if (type === undefined || !SEQUENCE_ERRORS.has(type)) return messagingError(error, 'a send failed');
  const detail = `${type}: the producer is replaced, and whether the messages are stored is not known`;
  return new MessagingError('BROKER_UNAVAILABLE', detail, { cause: error });
}

/** @throws {MessagingError} when a partition has no answer: kafkajs leaves one out whose leader moves between two tries */
function giveOffsets(calls: readonly Call[], answer: readonly SentPartition[]): void {
  const next = new Map<number, number>();
  for (const { partition, baseOffset } of answer) {
    // -1: a repeat that Kafka recognised and whose offset it has forgotten.
    if (baseOffset !== undefined && baseOffset !== '-1') next.set(partition, Number(baseOffset));
  }
  const missing = calls.flatMap(({ records }) => records).find(({ partition }) => !next.has(partition));
  if (missing !== undefined) {
    const detail = `no answer for partition ${missing.partition} of ${missing.topic}`;
    throw new MessagingError('BROKER_UNAVAILABLE', `${detail}: whether it is stored is not known`);
  }
  for (const { records, resolve } of calls) {
    resolve(
      records.map(({ partition }) => {
        const offset = next.get(partition)!;
        next.set(partition, offset + 1);
        return offset;
      }),
    );
  }
}
