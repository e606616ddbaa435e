import { MAX_BODY_BYTES, MessagingError, concernsOneMessage } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging/port';
import type { BrokerSession } from '../session.js';

/** One append carries at most this many coalesced messages … */
const MAX_APPEND_MESSAGES = 1024;
/** … or bytes. A single send beyond it goes alone, since it must stay atomic. */
const MAX_APPEND_BYTES = 1024 * 1024;
/** What a message takes beside its body, roughly; for the bounds only. */
const OVERHEAD_BYTES = 128;

export type SendBounds = {
  /** Most messages sent and not yet answered. Default 131,072. */
  maxPendingMessages: number;
  /** Most body bytes sent and not yet answered. Default 64 MiB. */
  maxPendingBytes: number;
  /** Most appends without an answer; more sends gather meanwhile. Default: no bound. */
  maxAppends?: number;
};

/** Times that a send which was certainly not stored, through no fault of one before it, goes again under a new epoch of its producer. */
const MAX_AGAIN = 3;

type PendingSend = {
  messages: readonly OutgoingMessage[];
  bytes: number;
  /** Times that it went again. */
  again: number;
  resolve: (receipts: SendReceipt[]) => void;
  reject: (error: unknown) => void;
};

/**
 * Turns the sends of one tick into one append, so that a caller who sends message by message pays for
 * a frame, a write and a flush once per tick. Bounded: what does not fit is refused at once with
 * `BUFFER_FULL`, and then was not stored.
 *
 * Sends are stored in the order of their calls. When one caller's message refuses an append that others shared, those
 * go again, each by itself; the broker has refused what came behind it as out of sequence, and that follows:
 *
 *     sent        1: a bad b   2: c   3: d
 *     answers     1 refused, 2 and 3 out of sequence
 *     then        4: a   5: bad (refused, to its caller)   6: b   7: c   8: d
 */
export class SendBuffer {
  private gathered: PendingSend[] = [];
  /** Batches that are as large as they may be, and wait until an append has its answer. */
  private readonly filled: PendingSend[][] = [];
  private appends = 0;
  private lastAppend = 0;
  /** Appends of which nothing was stored, to go again in their order once none is under way. */
  private again: { place: number; batches: PendingSend[][] }[] = [];
  /** True when something would have been sent but for `maxAppends`. */
  private held = false;
  private gatheredMessages = 0;
  private gatheredBytes = 0;
  private pendingMessages = 0;
  private pendingBytes = 0;
  private scheduled = false;
  private idle: (() => void)[] = [];

  constructor(
    private readonly session: Pick<BrokerSession, 'append'>,
    /** Absent: the broker makes the ids, since no answer can be lost on the way and a send be repeated. */
    private readonly nextId: (() => string) | undefined,
    private readonly bounds: SendBounds,
  ) {}

  send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    if (messages.length === 0) return Promise.resolve([]);
    let bytes = 0;
    for (const message of messages) {
      if (message.body.byteLength > MAX_BODY_BYTES) return Promise.reject(tooLarge(message));
      bytes += message.body.byteLength + OVERHEAD_BYTES;
    }
    if (!this.fits(messages.length, bytes)) return Promise.reject(this.full());
    const identified = this.nextId ? withIds(messages, this.nextId) : messages;
    return new Promise((resolve, reject) => {
      this.gather({ messages: identified, bytes, again: 0, resolve, reject });
    });
  }

  /** Resolves when every send was answered. */
  drained(): Promise<void> {
    this.flush();
    if (this.pendingMessages === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private fits(messages: number, bytes: number): boolean {
    // One oversized send may go when nothing else is pending; else it could never be sent at all.
    if (this.pendingMessages === 0) return true;
    return (
      this.pendingMessages + messages <= this.bounds.maxPendingMessages &&
      this.pendingBytes + bytes <= this.bounds.maxPendingBytes
    );
  }

  private full(): MessagingError {
    return new MessagingError(
      'BUFFER_FULL',
      `${this.pendingMessages} messages (${this.pendingBytes} bytes) wait for an answer of the broker`,
    );
  }

  private gather(send: PendingSend): void {
    const { length } = send.messages;
    if (
      this.gatheredMessages > 0 &&
      (this.gatheredMessages + length > MAX_APPEND_MESSAGES ||
        this.gatheredBytes + send.bytes > MAX_APPEND_BYTES)
    ) {
      this.filled.push(this.takeGathered());
      this.flush();
    }
    this.gathered.push(send);
    this.gatheredMessages += length;
    this.gatheredBytes += send.bytes;
    this.pendingMessages += length;
    this.pendingBytes += send.bytes;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /** Sends what has gathered, as soon as fewer than `maxAppends` are under way. */
  private flush(): void {
    const { maxAppends = Infinity } = this.bounds;
    while (this.filled.length + this.gathered.length > 0) {
      this.held = this.again.length > 0 || this.appends >= maxAppends;
      if (this.held) return;
      void this.append(this.filled.shift() ?? this.takeGathered());
    }
  }

  private takeGathered(): PendingSend[] {
    const sends = this.gathered;
    this.gathered = [];
    this.gatheredMessages = 0;
    this.gatheredBytes = 0;
    return sends;
  }

  private async append(sends: PendingSend[]): Promise<void> {
    this.appends += 1;
    const place = ++this.lastAppend;
    let batches: PendingSend[][] | undefined;
    try {
      const receipts = await this.session.append(concat(sends));
      this.appends -= 1;
      distribute(sends, receipts);
    } catch (error) {
      this.appends -= 1;
      batches = toGoAgain(sends, error);
      if (batches) this.again.push({ place, batches });
      else for (const send of sends) send.reject(error);
    }
    if (!batches) this.release(sends);
    this.goAgain();
    if (this.held) this.flush();
  }

  /** What was not stored goes before everything that has gathered meanwhile. */
  private goAgain(): void {
    if (this.again.length === 0 || this.appends > 0) return;
    const inOrder = this.again.sort((a, b) => a.place - b.place).flatMap(({ batches }) => batches);
    this.again = [];
    // Those behind it may have to go again because of it, as often as that takes.
    for (const send of inOrder[0]!) send.again += 1;
    this.filled.unshift(...inOrder);
    this.flush();
  }

  private release(sends: readonly PendingSend[]): void {
    for (const send of sends) {
      this.pendingMessages -= send.messages.length;
      this.pendingBytes -= send.bytes;
    }
    if (this.pendingMessages > 0) return;
    for (const resolve of this.idle.splice(0)) resolve();
  }
}

/** Of a failed append of which nothing was stored: what may go again, and in which appends. */
function toGoAgain(sends: PendingSend[], error: unknown): PendingSend[][] | undefined {
  if (sends.length > 1 && concernsOneMessage(error)) return sends.map((send) => [send]);
  const isOutOfSequence =
    error instanceof MessagingError && (error.code === 'SEQUENCE_GAP' || error.code === 'UNKNOWN_PRODUCER');
  if (!isOutOfSequence || sends.some(({ again }) => again >= MAX_AGAIN)) return undefined;
  return [sends];
}

function concat(sends: readonly PendingSend[]): readonly OutgoingMessage[] {
  if (sends.length === 1) return (sends[0] as PendingSend).messages;
  const all: OutgoingMessage[] = [];
  for (const send of sends) {
    for (const message of send.messages) all.push(message);
  }
  return all;
}

function distribute(sends: readonly PendingSend[], receipts: SendReceipt[]): void {
  if (sends.length === 1) {
    (sends[0] as PendingSend).resolve(receipts);
    return;
  }
  let start = 0;
  for (const send of sends) {
    const end = start + send.messages.length;
    send.resolve(end - start === 1 ? [receipts[start]!] : receipts.slice(start, end));
    start = end;
  }
}

/** Gives every message an id, so that a send repeated after a lost connection is stored once. */
export function withIds(
  messages: readonly OutgoingMessage[],
  nextId: () => string,
): readonly OutgoingMessage[] {
  for (const message of messages) {
    if (message.id === undefined) {
      return messages.map((each) => (each.id === undefined ? withId(each, nextId()) : each));
    }
  }
  return messages;
}

/**
 * A copy with every property in its place, absent ones as `undefined`: all copies share one hidden
 * class, which makes a spread with its many shapes look slow (2 µs a message).
 */
function withId(message: OutgoingMessage, id: string): OutgoingMessage {
  const { topic, tag, key, headers, body, deliverAtMs, timerId, ttlMs, priority } = message;
  return { topic, tag, key, id, headers, body, deliverAtMs, timerId, ttlMs, priority } as OutgoingMessage;
}

function tooLarge(message: OutgoingMessage): MessagingError {
  return new MessagingError(
    'MESSAGE_TOO_LARGE',
    `${message.topic}.${message.tag} has ${message.body.byteLength} bytes, the bound is ${MAX_BODY_BYTES}`,
  );
}
