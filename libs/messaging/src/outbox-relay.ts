import type { BrokerPort } from './broker-port.js';
import { MessagingError } from './errors.js';
import { describeError } from './failure.js';
import type { ClaimedMessage, OutboxStore, Settlement } from './outbox.js';
import { sendClaimed } from './outbox-sending.js';
import { silentLogger, type MessagingLogger } from './observer.js';

const BOUNDS = { maxMessages: 500, maxBytes: 4 * 1024 * 1024 };
/** Below the time that a claim's transaction may take. */
const SEND_DEADLINE_MS = 15_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

export type OutboxRelayOptions = {
  store: Pick<OutboxStore, 'claim'>;
  broker: Pick<BrokerPort, 'send'>;
  /** Messages per claim, and so per send. Default 500; at most 4 MiB of bodies are held at a time. */
  maxBatchMessages?: number;
  /** Pause when nothing is left, unless `wake` ends it. Asked anew each time. Default 100 ms. */
  pollMs?: () => number;
  /** Longest wait for the broker's answer. Default 15,000 ms. */
  sendDeadlineMs?: number;
  logger?: MessagingLogger;
  /** Called with what became of each batch, for metrics. */
  settled?: (settlement: Settlement) => void;
};

/**
 * Brings committed rows to the broker. As many relays as there are instances of a service share the work: which rows one of
 * them holds, and in which order they leave, is the store's to keep.
 *
 * One send is under way at a time. While the broker is away nothing is counted against a message: the relay pauses, up
 * to 5 s, and tries again.
 */
export class OutboxRelay {
  private readonly logger: MessagingLogger;
  private readonly pollMs: () => number;
  private running: Promise<void> | undefined;
  /** A send that missed its deadline: its rows are given up, and nothing else is sent before it has ended. */
  private late: Promise<unknown> = Promise.resolve();
  private failures = 0;
  /** Somebody has written since the last claim began. */
  private isWoken = false;
  private endPause: () => void = () => undefined;
  /** Once it is to stop: until when it may go on with what is left. */
  private stopByMs: number | undefined;

  constructor(private readonly options: OutboxRelayOptions) {
    this.logger = options.logger ?? silentLogger;
    this.pollMs = options.pollMs ?? (() => 100);
  }

  /** One round: claim, send, settle. Answers how many rows were claimed. @throws what kept all of them from being sent */
  async relayOnce(): Promise<number> {
    await this.late;
    const maxMessages = this.options.maxBatchMessages ?? BOUNDS.maxMessages;
    let settlement: Settlement | undefined;
    const claimed = await this.options.store.claim({ ...BOUNDS, maxMessages }, async (messages) => {
      settlement = await this.inTime(sendClaimed(this.options.broker, messages));
      this.tellOfDeadLetters(messages, settlement);
      return settlement;
    });
    if (settlement !== undefined) this.options.settled?.(settlement);
    return claimed;
  }

  start(): void {
    this.stopByMs = undefined;
    this.running ??= this.run().finally(() => (this.running = undefined));
  }

  /** There may be something to send. */
  wake(): void {
    this.isWoken = true;
    // After a failure it is the broker that is waited for, or the database.
    if (this.failures === 0) this.endPause();
  }

  /** Resolves when the outbox is empty, what is in there cannot be sent now, or `drainMs` have passed. What is left is the next relay's. */
  async stop(drainMs = 5_000): Promise<void> {
    this.stopByMs = performance.now() + drainMs;
    this.endPause();
    let timer: NodeJS.Timeout | undefined;
    // The round at work may itself wait for an answer that does not come.
    const deadline = new Promise<void>((resolve) => (timer = setTimeout(resolve, drainMs)));
    await Promise.race([this.running, deadline]);
    clearTimeout(timer);
  }

  private async run(): Promise<void> {
    while (this.stopByMs === undefined || performance.now() < this.stopByMs) {
      this.isWoken = false;
      const claimed = await this.round();
      if (claimed > 0) continue;
      if (this.stopByMs !== undefined) return;
      await this.pause();
    }
  }

  /** Answers 0 when it failed. */
  private async round(): Promise<number> {
    try {
      const claimed = await this.relayOnce();
      if (this.failures > 0) this.logger.info({}, 'the outbox is relayed again');
      this.failures = 0;
      return claimed;
    } catch (error) {
      // The rows are still there. Said once per outage: it may last for an hour.
      if (this.failures === 0) {
        this.logger.warn(
          { error: describeError(error) },
          'the outbox could not be relayed; it is tried again',
        );
      }
      this.failures += 1;
      return 0;
    }
  }

  private pause(): Promise<void> {
    if (this.isWoken && this.failures === 0) return Promise.resolve();
    const afterFailureMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.failures - 1, 10), MAX_PAUSE_MS);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.failures > 0 ? afterFailureMs : this.pollMs());
      this.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async inTime(sending: Promise<Settlement>): Promise<Settlement> {
    this.late = sending.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_resolve, reject) => {
      const error = new MessagingError('REQUEST_TIMEOUT', 'the broker did not answer the outbox in time');
      timer = setTimeout(() => reject(error), this.options.sendDeadlineMs ?? SEND_DEADLINE_MS);
    });
    try {
      return await Promise.race([sending, deadline]);
    } finally {
      clearTimeout(timer);
    }
  }

  private tellOfDeadLetters(messages: readonly ClaimedMessage[], { refused }: Settlement): void {
    for (const { rowId, error, retryAfterMs } of refused) {
      if (retryAfterMs !== undefined) continue;
      const { topic, tag, key, id } = messages.find((each) => each.rowId === rowId)?.message ?? {};
      this.logger.error({ rowId, topic, tag, key, id, error }, 'a message of the outbox cannot be sent');
    }
  }
}
