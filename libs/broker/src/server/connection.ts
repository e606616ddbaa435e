import { MessagingError } from '#libs/messaging/port';
import type { OutgoingMessage, Subscription, TransactionDecision } from '#libs/messaging/port';
import { SendBuffer } from '../client/send-buffer.js';
import type {
  AdminCall,
  BrokerSession,
  ProducerRegistration,
  RawDelivery,
  SessionEvents,
} from '../session.js';
import type { ByteReader } from '../wire/bytes.js';
import { inFrames, writeDeliveries } from '../wire/deliveries.js';
import type { FrameSocket } from '../wire/frame-socket.js';
import { FrameType } from '../wire/frames.js';
import { fromJson, toJson, toWireError } from '../wire/json.js';
import { readMessages, readStamp, writeMessages, writeReceipts } from '../wire/sends.js';
import { readSettlements, writeSettled } from '../wire/settlements.js';
import { ConsumerIds } from './consumer-ids.js';

/** Requests of one connection that wait for an answer; beyond it, reading pauses. */
const MAX_OPEN_REQUESTS = 4_096;
/** Bytes of such requests. */
const MAX_OPEN_BYTES = 16 * 1024 * 1024;
/**
 * Answers and deliveries that the client has not taken; beyond it, reading pauses, so no further answers arise, and
 * nothing is sent a second time. Deliveries are bounded by what the client allows in flight.
 */
const MAX_BACKLOG_BYTES = 32 * 1024 * 1024;
/** Looks this often whether a slow client has taken its answers. */
const BACKLOG_CHECK_MS = 10;

/** One authenticated client: frames in, session calls, frames out. */
export class Connection implements SessionEvents {
  /** Into frames. */
  readonly copiesDeliveries = true;
  private readonly session: BrokerSession;
  private readonly sends: SendBuffer;
  private readonly consumers = new ConsumerIds();
  private openRequests = 0;
  private openBytes = 0;
  private paused = false;

  constructor(
    private readonly socket: FrameSocket,
    openSession: (events: SessionEvents) => BrokerSession,
  ) {
    this.session = openSession(this);
    // All appends of one socket read that are under no sequence become one append of the engine.
    const unbounded = { maxPendingMessages: Infinity, maxPendingBytes: Infinity };
    this.sends = new SendBuffer(this.session, serverNeverNames, unbounded);
  }

  /** @throws {MessagingError} `PROTOCOL_ERROR` when the frame cannot be read; the connection is then closed. */
  onFrame(type: number, request: number, payload: ByteReader): void {
    const bytes = payload.length;
    switch (type) {
      case FrameType.append: {
        const stamp = readStamp(payload);
        const messages = readMessages(payload);
        const sent = stamp ? this.session.append(messages, stamp) : this.sends.send(messages);
        this.answer(request, bytes, sent, (receipts) =>
          this.socket.frame(FrameType.receipts, request, (writer) =>
            writeReceipts(writer, messages, receipts),
          ),
        );
        break;
      }
      case FrameType.settle: {
        const settlements = readSettlements(payload);
        this.answer(request, bytes, this.session.settle(settlements), (recorded) =>
          this.socket.frame(FrameType.settled, request, (writer) => writeSettled(writer, recorded)),
        );
        break;
      }
      case FrameType.pull: {
        const [consumerId, maxMessages, waitMs] = json<[number, number, number]>(payload);
        const pulled = this.consumers
          .engineId(consumerId)
          .then((id) => this.session.pull(id, maxMessages, waitMs));
        this.answer(request, bytes, pulled, (deliveries) => this.pulled(request, deliveries));
        break;
      }
      case FrameType.ping:
        break;
      default:
        this.answer(request, bytes, this.call(type, payload), (result) =>
          this.socket.frame(FrameType.result, request, (writer) => writer.string(toJson(result))),
        );
    }
  }

  /** The client is gone: its unsettled deliveries go to others. */
  close(): Promise<void> {
    return this.session.close();
  }

  deliveries(consumerId: number, deliveries: readonly RawDelivery[]): void {
    this.consumers.whenKnown(consumerId, (clientId) => {
      this.unasked(() => {
        for (const run of inFrames(deliveries)) {
          inHalves(run, (part) =>
            this.socket.frame(FrameType.deliveries, 0, (writer) => {
              writer.u32(clientId);
              writeDeliveries(writer, part);
            }),
          );
        }
      });
    });
  }

  leaseLost(consumerId: number, deliveryIds: readonly number[]): void {
    this.consumers.whenKnown(consumerId, (clientId) => {
      this.repeated(() =>
        this.socket.frame(FrameType.leaseLost, 0, (writer) => writer.json([clientId, deliveryIds])),
      );
    });
  }

  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void {
    this.repeated(() =>
      this.socket.frame(FrameType.check, 0, (writer) => {
        writer.string(transactionId);
        writer.string(producerGroup);
        writeMessages(writer, messages);
      }),
    );
  }

  closed(error?: Error): void {
    const reason =
      error instanceof MessagingError
        ? error
        : new MessagingError('BROKER_UNAVAILABLE', error?.message ?? 'the broker is closing');
    this.socket.frame(FrameType.goodbye, 0, (writer) => writer.json(toWireError(reason)));
    this.socket.end();
  }

  /**
   * What comes again for as long as a client does nothing about it: a lost lease, behind which its delivery follows
   * anew, and a check. One that takes it more slowly than that, be it a byte now and then, would have
   * its backlog grow without bound; so it is cut off.
   */
  private repeated(write: () => void): void {
    if (this.socket.backlogBytes < MAX_BACKLOG_BYTES) return this.unasked(write);
    const detail = `${this.socket.backlogBytes} bytes were not taken before more came of the same`;
    this.socket.destroy(new MessagingError('BROKER_UNAVAILABLE', detail));
  }

  /** The engine must not feel what a client cannot be told: that client starts anew on another connection. */
  private unasked(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The requests that travel as JSON. Async, so that the engine may also throw at once. */
  private async call(type: number, payload: ByteReader): Promise<unknown> {
    const { session, consumers } = this;
    switch (type) {
      case FrameType.prepare: {
        const producerGroup = payload.string();
        return session.prepare(producerGroup, readMessages(payload));
      }
      case FrameType.decide:
        return session.decide(...json<[string, TransactionDecision]>(payload));
      case FrameType.openProducer:
        return session.openProducer(...json<[ProducerRegistration]>(payload));
      case FrameType.registerProducer:
        return session.registerProducer(...json<[string]>(payload));
      case FrameType.recall:
        return session.recall(...json<[string, string?]>(payload));
      case FrameType.reschedule:
        return session.reschedule(...json<[string, number, string?]>(payload));
      case FrameType.attach: {
        const [clientId, subscription, mode] = json<[number, Subscription, 'push' | 'pull']>(payload);
        return consumers.join(clientId, () => session.attach(subscription, mode));
      }
      case FrameType.pause:
        return consumers.engineId(json<[number]>(payload)[0]).then((id) => session.pause(id));
      case FrameType.detach:
        return consumers.leave(json<[number]>(payload)[0], (id) => session.detach(id));
      case FrameType.admin:
        return session.admin(json<AdminCall>(payload));
      default:
        throw new MessagingError('PROTOCOL_ERROR', `frame type ${type} is not known here`);
    }
  }

  private pulled(request: number, deliveries: readonly RawDelivery[]): void {
    const last = deliveries.at(-1);
    for (const run of inFrames(deliveries)) {
      inHalves(run, (part) =>
        this.socket.frame(FrameType.pulled, request, (writer) => {
          writer.u8(part.at(-1) === last ? 0 : 1);
          writeDeliveries(writer, part);
        }),
      );
    }
  }

  private answer<Result>(
    request: number,
    bytes: number,
    result: Promise<Result>,
    write: (result: Result) => void,
  ): void {
    this.openRequests++;
    this.openBytes += bytes;
    this.throttle();
    result
      .then(write)
      // Also when the answer does not fit into a frame: the client is told instead of left waiting.
      .catch((error: unknown) => this.fail(request, error))
      .finally(() => {
        this.openRequests--;
        this.openBytes -= bytes;
        this.throttle();
      });
  }

  private fail(request: number, error: unknown): void {
    this.socket.frame(FrameType.failure, request, (writer) => writer.json(toWireError(error)));
  }

  private throttle(): void {
    const full =
      this.openRequests >= MAX_OPEN_REQUESTS ||
      this.openBytes >= MAX_OPEN_BYTES ||
      this.socket.backlogBytes >= MAX_BACKLOG_BYTES;
    // Without an answer to come, nobody else would look again.
    if (full && this.openRequests === 0) setTimeout(() => this.throttle(), BACKLOG_CHECK_MS).unref();
    if (full === this.paused) return;
    this.paused = full;
    if (full) this.socket.pause();
    else this.socket.resume();
  }
}

/**
 * Writes a run, in parts where histories make it too large for one frame: 256 messages that failed often are.
 * A client that was cut off instead would get the same run on its next connection.
 */
function inHalves(run: readonly RawDelivery[], write: (part: readonly RawDelivery[]) => void): void {
  try {
    write(run);
  } catch (error) {
    const isTooLarge = error instanceof MessagingError && error.code === 'MESSAGE_TOO_LARGE';
    if (!isTooLarge || run.length === 1) throw error;
    const middle = run.length >> 1;
    inHalves(run.slice(0, middle), write);
    inHalves(run.slice(middle), write);
  }
}

function serverNeverNames(): string {
  throw new MessagingError('INVALID_ARGUMENT', 'a message over TCP needs an id');
}

function json<Value>(payload: ByteReader): Value {
  // The engine checks what it is given; a value of the wrong shape is its INVALID_ARGUMENT.
  return fromJson(payload.string()) as Value;
}
