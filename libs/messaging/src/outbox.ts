/**
 * The second way to send a message if, and only if, a local transaction commits: the message is a row
 * of the same database, written by the same transaction, and a relay brings committed rows to the
 * broker. It needs nothing of the broker but `send`, so it works on every one; half messages
 * (`MessageBus.transactional`) save the table and the relay's delay where the broker has them.
 *
 *     local transaction { INSERT order; INSERT outbox row }  commit ──> relay: take → send → mark sent
 *
 * A relay that dies between send and mark sends again under the same message id: the broker's
 * de-duplication window stores it once, and beyond that window the consumer's inbox handles it once.
 */
import { randomUUID } from 'node:crypto';
import type { BrokerPort } from './broker-port.js';
import { seal, type Envelope } from './envelope.js';
import { confirmed } from './confirmed.js';
import { describeError } from './failure.js';
import type { OutgoingMessage } from './message.js';
import type { MessagingOptions } from './messaging.options.js';
import { silentLogger, type MessagingLogger } from './observer.js';
import { traceContext } from './trace-context.js';

/** A message as the outbox keeps it: with an id, which every send of it repeats. */
export type OutboxMessage = OutgoingMessage & { id: string };

export interface OutboxStore<Tx = unknown> {
  /** Inserts the messages within the caller's transaction, in order. */
  append(tx: Tx, messages: readonly OutboxMessage[]): Promise<void>;
  /** The oldest committed messages that are not sent, in the order of insertion. One relay at a time may hold them. */
  take(limit: number): Promise<readonly OutboxMessage[]>;
  /** Deletes the messages, or marks them. Repeating it is harmless. */
  markSent(messageIds: readonly string[]): Promise<void>;
}

/** How a use case writes to the outbox, instead of sending. */
export class Outbox<Tx> {
  constructor(
    private readonly store: OutboxStore<Tx>,
    private readonly options: Pick<MessagingOptions, 'producer' | 'clock'>,
  ) {}

  /** Within the transaction of the change that the messages are about. @throws {MessagingError} `INVALID_PAYLOAD` */
  async append(tx: Tx, envelopes: readonly Envelope[]): Promise<void> {
    const context = {
      producer: this.options.producer,
      nowMs: (this.options.clock ?? Date).now(),
      // Always checked: a row that no consumer can parse would be found much later.
      validate: true,
      causeOf: (key: string) => traceContext.causeOf(key),
    };
    const messages = envelopes.map((each) => ({ id: randomUUID(), ...seal(each, context) }));
    await this.store.append(tx, messages);
  }
}

export type OutboxRelayOptions = {
  store: Pick<OutboxStore, 'take' | 'markSent'>;
  broker: Pick<BrokerPort, 'send'>;
  /** Messages per send. Default 500. */
  maxBatchMessages?: number;
  /** Pause when nothing is due, and after a failure. Default 100 ms. */
  pollMs?: number;
  logger?: MessagingLogger;
};

/** Brings committed rows to the broker, oldest first; a failed send holds up those behind it, so order is kept. */
export class OutboxRelay {
  private readonly logger: MessagingLogger;
  private readonly maxBatchMessages: number;
  private readonly pollMs: number;
  private running: Promise<void> | undefined;
  private wake: () => void = () => undefined;
  private stopping = false;

  constructor(private readonly options: OutboxRelayOptions) {
    this.logger = options.logger ?? silentLogger;
    this.maxBatchMessages = options.maxBatchMessages ?? 500;
    this.pollMs = options.pollMs ?? 100;
  }

  /** One round: take, send, mark. Answers how many were sent. */
  async relayOnce(): Promise<number> {
    const { store, broker } = this.options;
    const messages = await store.take(this.maxBatchMessages);
    if (messages.length === 0) return 0;
    confirmed(await broker.send(messages));
    await store.markSent(messages.map(({ id }) => id));
    return messages.length;
  }

  start(): void {
    this.stopping = false;
    this.running ??= this.run();
  }

  /** Resolves when the round at work is done. What is left is the next relay's. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake();
    await this.running;
    this.running = undefined;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      let sent = 0;
      try {
        sent = await this.relayOnce();
      } catch (error) {
        // The rows are still there; the next round sends them again.
        this.logger.warn({ error: describeError(error) }, 'the outbox could not be relayed');
      }
      if (sent < this.maxBatchMessages) await this.pause();
    }
  }

  private pause(): Promise<void> {
    if (this.stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.pollMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
