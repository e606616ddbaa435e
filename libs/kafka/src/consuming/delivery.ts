import {
  type Attempt,
  type DeadLetterReason,
  type DeliveredMessage,
  type ErrorKind,
  MessagingError,
  type StoredMessage,
} from '#libs/messaging/port';
import type { Item } from './partition-work.js';

export type Verdict =
  | { action: 'ack' }
  | { action: 'retry'; delayMs: number; error: string; kind: ErrorKind | undefined }
  | { action: 'dead-letter'; reason: DeadLetterReason; error: string; kind: ErrorKind | undefined };

/** A message in the hands of a handler. The lease is kept here: Kafka knows none. */
export class Delivery implements DeliveredMessage {
  state: 'open' | 'settling' | 'settled' | 'lost' = 'open';
  /** Its handler is at work: the lease is kept alive. */
  isKept = true;
  leaseEndsAtMs = 0;
  private abort: AbortController | undefined;

  constructor(
    readonly item: Item,
    private readonly settle: (delivery: Delivery, verdict: Verdict) => Promise<void>,
    private readonly now: () => number,
    readonly heldSinceMs: number,
  ) {}

  get message(): StoredMessage {
    return this.item.read.message;
  }

  get attempt(): number {
    return this.item.read.tries.attempt;
  }

  get history(): readonly Attempt[] {
    return this.item.read.tries.history;
  }

  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    if (this.state === 'lost') this.abort.abort();
    return this.abort.signal;
  }

  ack(): Promise<void> {
    return this.decide({ action: 'ack' });
  }

  retry({ delayMs, error, kind }: Parameters<DeliveredMessage['retry']>[0]): Promise<void> {
    return this.decide({ action: 'retry', delayMs, error, kind });
  }

  deadLetter({ reason, error, kind }: Parameters<DeliveredMessage['deadLetter']>[0]): Promise<void> {
    return this.decide({ action: 'dead-letter', reason, error, kind });
  }

  async extend(leaseMs: number): Promise<void> {
    if (this.state !== 'open') throw this.lost();
    this.isKept = false;
    this.leaseEndsAtMs = this.now() + leaseMs;
  }

  lose(): void {
    if (this.state === 'settled') return;
    this.state = 'lost';
    this.abort?.abort();
  }

  private async decide(verdict: Verdict): Promise<void> {
    if (this.state !== 'open') throw this.lost();
    this.state = 'settling';
    try {
      await this.settle(this, verdict);
    } catch (error) {
      // Nothing was recorded: it may be tried again, or the lease runs out.
      if ((this.state as string) === 'settling') this.state = 'open';
      throw error;
    }
    if ((this.state as string) === 'lost') throw this.lost();
    this.state = 'settled';
  }

  private lost(): MessagingError {
    return new MessagingError(
      'LEASE_LOST',
      `the delivery of ${this.message.id} is settled, expired or given up`,
    );
  }
}
