import { MessagingError } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt, Subscription, TransactionDecision } from '#libs/messaging/port';
import type {
  AdminCall,
  ProducerIdentity,
  ProducerRegistration,
  ProducerStamp,
  RawDelivery,
  Settlement,
} from '../session.js';
import type { ByteReader } from '../wire/bytes.js';
import { readDeliveries } from '../wire/deliveries.js';
import type { FrameSocket } from '../wire/frame-socket.js';
import { FrameType } from '../wire/frames.js';
import { fromJson, toJson } from '../wire/json.js';
import { readMessages, readReceipts, writeMessages, writeStamp } from '../wire/sends.js';
import { readSettled, writeSettlements } from '../wire/settlements.js';
import { BrokerLink } from './broker-link.js';
import type { LinkEvents, LinkOptions } from './broker-link.js';
import { errorText } from './log.js';
import type { OpenableSession, PortEvents } from './port.js';
import { Requests } from './requests.js';
import type { RequestKind } from './requests.js';

export type TcpSessionOptions = LinkOptions & {
  /** How long a request may wait for its answer, reconnects included. Default 30,000 ms. */
  requestTimeoutMs: number;
};

const FIRST_RESUME_WAIT_MS = 1_000;
const MAX_RESUME_WAIT_MS = 30_000;

type Member = { subscription: Subscription; mode: 'push' | 'pull' };

/**
 * A session that outlives its connections.
 *
 * When one is lost, every delivery of it is lost too (the broker gives it to somebody else at once).
 * On the next one producer groups and consumers are resumed first, under the consumer ids they had;
 * then unanswered requests are sent again, as far as repeating them is harmless: sends carry
 * their producer's sequence and message ids, by which the broker drops what it has already.
 */
export class TcpSession implements OpenableSession, LinkEvents {
  private readonly link: BrokerLink;
  private readonly requests: Requests;
  private socket: FrameSocket | undefined;
  private readonly members = new Map<number, Member>();
  private readonly producerGroups = new Set<string>();
  /** What is refused since a new connection, and why. */
  private readonly refusals = new Map<string, string>();
  private readonly waitingForUp = new Set<(error?: MessagingError) => void>();
  private lastConsumerId = 0;
  private closed = false;

  constructor(
    private readonly events: PortEvents,
    private readonly options: TcpSessionOptions,
  ) {
    this.link = new BrokerLink(options, this);
    this.requests = new Requests(options.requestTimeoutMs, () => this.link.error);
  }

  append(messages: readonly OutgoingMessage[], stamp?: ProducerStamp): Promise<SendReceipt[]> {
    return this.request({
      type: FrameType.append,
      write: (writer) => {
        writeStamp(writer, stamp);
        writeMessages(writer, messages);
      },
      read: (payload) => readReceipts(payload, messages),
      whenLost: 'again',
    });
  }

  openProducer(registration: ProducerRegistration): Promise<ProducerIdentity> {
    return this.call(FrameType.openProducer, [registration], 'again');
  }

  prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<string> {
    return this.request({
      type: FrameType.prepare,
      write: (writer) => {
        writer.string(producerGroup);
        writeMessages(writer, messages);
      },
      read: result<string>,
      // The broker may have prepared it; sent again, it would be prepared twice. The check-back ends it.
      whenLost: 'fail',
    });
  }

  decide(transactionId: string, decision: TransactionDecision): Promise<SendReceipt[]> {
    return this.call(FrameType.decide, [transactionId, decision], 'again');
  }

  async registerProducer(producerGroup: string): Promise<void> {
    await this.call(FrameType.registerProducer, [producerGroup], 'again');
    this.producerGroups.add(producerGroup);
  }

  recall(timerId: string, topic?: string): Promise<boolean> {
    return this.call(FrameType.recall, topic === undefined ? [timerId] : [timerId, topic], 'again');
  }

  reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean> {
    const args = topic === undefined ? [timerId, deliverAtMs] : [timerId, deliverAtMs, topic];
    return this.call(FrameType.reschedule, args, 'again');
  }

  async attach(subscription: Subscription, mode: 'push' | 'pull'): Promise<number> {
    const consumerId = ++this.lastConsumerId;
    try {
      await this.call(FrameType.attach, [consumerId, subscription, mode], 'again');
    } catch (error) {
      // An answer may still come; a consumer nobody knows of would hold messages.
      this.tell(FrameType.detach, [consumerId]);
      throw error;
    }
    this.members.set(consumerId, { subscription, mode });
    return consumerId;
  }

  async pause(consumerId: number): Promise<void> {
    // A paused consumer has nothing left to do on another connection.
    this.members.delete(consumerId);
    await this.call(FrameType.pause, [consumerId], { answer: undefined });
  }

  async detach(consumerId: number): Promise<void> {
    this.members.delete(consumerId);
    await this.call(FrameType.detach, [consumerId], { answer: undefined });
  }

  pull(consumerId: number, maxMessages: number, waitMs: number): Promise<readonly RawDelivery[]> {
    const parts: RawDelivery[] = [];
    return this.request<readonly RawDelivery[]>({
      type: FrameType.pull,
      write: (writer) => writer.string(toJson([consumerId, maxMessages, waitMs])),
      read: (payload) => {
        const more = payload.u8() === 1;
        parts.push(...readDeliveries(payload));
        return more ? undefined : parts;
      },
      whenLost: 'fail',
      extraMs: waitMs,
    });
  }

  settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    return this.request({
      type: FrameType.settle,
      write: (writer) => writeSettlements(writer, settlements),
      read: (payload) => readSettled(payload, settlements.length),
      // With the connection the deliveries are gone; whether a verdict was recorded cannot be known.
      whenLost: { answer: settlements.map(() => false) },
    });
  }

  admin(call: AdminCall): Promise<unknown> {
    return this.call(FrameType.admin, call, 'fail');
  }

  /**
   * A connection that stands says nothing: a broker that hangs keeps it open. So it has to answer a request, the
   * cheapest there is.
   */
  async ready(timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    await this.connected(timeoutMs);
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new MessagingError('REQUEST_TIMEOUT', `${this.options.url} does not answer`)),
        endMs - performance.now(),
      );
    });
    try {
      await Promise.race([this.admin({ method: 'timers', args: [] }), tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  private connected(timeoutMs: number): Promise<void> {
    if (this.socket !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (error?: MessagingError): void => {
        clearTimeout(timer);
        this.waitingForUp.delete(done);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = setTimeout(() => done(this.link.error ?? unreachable(this.options.url)), timeoutMs);
      if (this.link.refused) return done(this.link.error);
      this.waitingForUp.add(done);
      this.link.start();
    });
  }

  close(): Promise<void> {
    this.closed = true;
    this.link.stop();
    this.socket = undefined;
    this.requests.failAll(closedError());
    for (const done of [...this.waitingForUp]) done(closedError());
    return Promise.resolve();
  }

  up(socket: FrameSocket): void {
    this.socket = socket;
    for (const producerGroup of this.producerGroups) {
      this.resume(FrameType.registerProducer, [producerGroup], () => true);
    }
    for (const [consumerId, { subscription, mode }] of this.members) {
      this.resume(FrameType.attach, [consumerId, subscription, mode], () => this.members.has(consumerId));
    }
    this.requests.sendAll(socket);
    for (const done of [...this.waitingForUp]) done();
  }

  down(error: MessagingError): void {
    this.socket = undefined;
    this.events.disconnected();
    if (this.link.refused) {
      this.requests.failAll(error);
      for (const done of [...this.waitingForUp]) done(error);
    } else {
      this.requests.connectionLost(error);
    }
  }

  frame(type: number, request: number, payload: ByteReader): void {
    switch (type) {
      case FrameType.deliveries:
        return this.events.deliveries(payload.u32(), readDeliveries(payload));
      case FrameType.leaseLost:
        return this.events.leaseLost(...(payload.json() as [number, number[]]));
      case FrameType.check: {
        const transactionId = payload.string();
        const producerGroup = payload.string();
        return this.events.check(transactionId, readMessages(payload), producerGroup);
      }
      case FrameType.ping:
        return;
      default:
        return this.requests.answer(type, request, payload);
    }
  }

  private request<Result>(kind: RequestKind<Result>): Promise<Result> {
    if (this.closed) return Promise.reject(closedError());
    if (this.link.refused && this.link.error !== undefined) return Promise.reject(this.link.error);
    this.link.start();
    return this.requests.add(kind, this.socket);
  }

  private call<Result>(
    type: FrameType,
    args: unknown,
    whenLost: RequestKind<Result>['whenLost'],
  ): Promise<Result> {
    return this.request({
      type,
      write: (writer) => writer.string(toJson(args)),
      read: result<Result>,
      whenLost,
    });
  }

  /**
   * Re-establishes what the last connection had. What the broker refuses (its group has another order by now, say) is asked
   * for again by itself, after 1 s, 2 s, 4 s … 30 s; everything else of this client goes on.
   */
  private resume(type: FrameType, args: unknown, isWanted: () => boolean, failures = 0): void {
    const { socket } = this;
    const what = JSON.stringify(args);
    const resumed = this.call<unknown>(type, args, { answer: undefined }).then(() =>
      this.refusals.delete(what),
    );
    resumed.catch((error: unknown) => {
      // Another connection has resumed it meanwhile, or nobody needs it any more.
      if (socket !== this.socket || this.closed || !isWanted()) return;
      if (error instanceof MessagingError && error.code === 'REQUEST_TIMEOUT') return this.link.drop(error);
      // Told once for each reason, however many connections come and go meanwhile.
      const text = errorText(error);
      if (this.refusals.get(what) !== text)
        this.options.log.warn({ error: text }, 'a subscription was refused; it is tried again');
      this.refusals.set(what, text);
      const waitMs = Math.min(MAX_RESUME_WAIT_MS, FIRST_RESUME_WAIT_MS * 2 ** failures);
      setTimeout(() => {
        if (socket === this.socket && isWanted())
          this.resume(type, args, isWanted, Math.min(failures + 1, 16));
      }, waitMs).unref();
    });
  }

  /** Sends when there is a connection; the answer does not matter. */
  private tell(type: FrameType, args: unknown): void {
    this.call<unknown>(type, args, { answer: undefined }).catch(() => {
      // Refused because the consumer never joined: exactly what was wanted.
    });
  }
}

function result<Value>(payload: ByteReader): Value {
  return fromJson(payload.string()) as Value;
}

function closedError(): MessagingError {
  return new MessagingError('CLOSED', 'this connection to the broker was closed');
}

function unreachable(url: string): MessagingError {
  return new MessagingError('BROKER_UNAVAILABLE', `${url} does not answer`);
}
