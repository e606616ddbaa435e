import { MessagingError } from '#libs/messaging/port';
import type { Attempt, DeliveredMessage, StoredMessage } from '#libs/messaging/port';
import type { BrokerSession, RawDelivery, Settlement } from '../session.js';

/** `open` until a verdict is asked for; `settled` when the broker recorded it; `lost` when it is somebody else's. */
type DeliveryState = 'open' | 'settling' | 'settled' | 'lost';

/** Knows a delivery until it is settled or lost. */
export interface DeliveryOwner {
  readonly settler: Settler;
  forget(delivery: Delivery): void;
}

/** A delivery as the handler sees it. A class without closures: one is made per message. */
export class Delivery implements DeliveredMessage {
  state: DeliveryState = 'open';
  /** Its lease is kept alive: it waits for its handler, or the handler is at work and does not extend the lease itself. */
  isKept = true;
  /** When it came, and then when it was handed over, in the consumer's own count. */
  keptSince = 0;
  private abort: AbortController | undefined;

  constructor(
    private readonly raw: RawDelivery,
    private readonly owner: DeliveryOwner,
  ) {}

  get deliveryId(): number {
    return this.raw.deliveryId;
  }

  get message(): StoredMessage {
    return this.raw.message;
  }

  get attempt(): number {
    return this.raw.attempt;
  }

  get history(): readonly Attempt[] {
    return this.raw.history;
  }

  /** Made when somebody asks: most handlers never do, and a controller costs more than the rest of a delivery. */
  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    if (this.state === 'lost') this.abort.abort(leaseLost(this));
    return this.abort.signal;
  }

  ack(): Promise<void> {
    return this.settle({ deliveryId: this.raw.deliveryId, verdict: 'ack' });
  }

  retry({ delayMs, error, kind }: Parameters<DeliveredMessage['retry']>[0]): Promise<void> {
    return this.settle({ deliveryId: this.raw.deliveryId, verdict: 'retry', delayMs, error, kind });
  }

  deadLetter({ reason, error, kind }: Parameters<DeliveredMessage['deadLetter']>[0]): Promise<void> {
    return this.settle({ deliveryId: this.raw.deliveryId, verdict: 'dead-letter', reason, error, kind });
  }

  extend(leaseMs: number): Promise<void> {
    if (this.state !== 'open') return Promise.reject(leaseLost(this));
    this.isKept = false;
    return this.keep(leaseMs);
  }

  /** Starts the lease anew, and goes on keeping it. */
  keep(leaseMs: number): Promise<void> {
    return this.owner.settler.add(this, { deliveryId: this.raw.deliveryId, verdict: 'extend', leaseMs });
  }

  /** Gives it back: nobody began with it. */
  release(): Promise<void> {
    return this.settle({ deliveryId: this.raw.deliveryId, verdict: 'release' });
  }

  /** The broker said that this delivery is no longer ours. */
  lose(): void {
    if (this.state === 'settled' || this.state === 'lost') return;
    this.state = 'lost';
    this.owner.forget(this);
    this.abort?.abort(leaseLost(this));
  }

  /** The broker recorded the verdict. */
  settled(): void {
    this.state = 'settled';
    this.owner.forget(this);
  }

  /** The verdict reached nobody; it may be given again. */
  reopen(): void {
    if (this.state === 'settling') this.state = 'open';
  }

  private settle(settlement: Settlement): Promise<void> {
    if (this.state !== 'open') return Promise.reject(leaseLost(this));
    this.state = 'settling';
    return this.owner.settler.add(this, settlement);
  }
}

function leaseLost(delivery: Delivery): MessagingError {
  const { id, topic, tag } = delivery.message;
  const why = delivery.state === 'lost' ? 'belongs to somebody else now' : 'has its verdict already';
  return new MessagingError('LEASE_LOST', `${topic}.${tag} ${id}, attempt ${delivery.attempt}, ${why}`);
}

/** Verdicts that share a call, and how it ended. One promise for all: a pair of its own for each delivery would cost more than the verdict. */
class Verdicts {
  readonly deliveries: Delivery[] = [];
  readonly settlements: Settlement[] = [];
  recorded: readonly boolean[] = [];
  failure: { cause: unknown } | undefined;
  readonly answered: Promise<void>;
  answer!: () => void;

  constructor() {
    this.answered = new Promise((resolve) => (this.answer = resolve));
  }

  /** Nothing when the verdict at `index` was recorded. */
  outcomeOf(index: number): void {
    if (this.failure) throw this.failure.cause;
    if (this.recorded[index] !== true) throw leaseLost(this.deliveries[index]!);
  }
}

/** Verdicts of a call. With more of one tick, the broker gets on with the first ones while the others are given. */
const MAX_VERDICTS = 512;

/** Sends the verdicts of one tick in one call, or in few. */
export class Settler {
  private waiting = new Verdicts();
  private underWay = 0;
  private idle: (() => void)[] = [];

  constructor(private readonly session: Pick<BrokerSession, 'settle'>) {}

  add(delivery: Delivery, settlement: Settlement): Promise<void> {
    const { waiting } = this;
    const index = waiting.deliveries.push(delivery) - 1;
    waiting.settlements.push(settlement);
    if (index === 0) setImmediate(this.flush);
    if (index + 1 === MAX_VERDICTS) this.flush();
    return waiting.answered.then(() => waiting.outcomeOf(index));
  }

  /** Resolves when every verdict given so far was answered. */
  drained(): Promise<void> {
    this.flush();
    if (this.underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private readonly flush = (): void => {
    const batch = this.waiting;
    if (batch.deliveries.length === 0) return;
    this.waiting = new Verdicts();
    this.underWay++;
    void this.settle(batch);
  };

  private async settle(batch: Verdicts): Promise<void> {
    const { deliveries, settlements } = batch;
    try {
      batch.recorded = await this.session.settle(settlements);
      for (let i = 0; i < deliveries.length; i++) {
        if (batch.recorded[i] !== true) deliveries[i]!.lose();
        else if (settlements[i]!.verdict !== 'extend') deliveries[i]!.settled();
      }
    } catch (cause) {
      batch.failure = { cause };
      for (const delivery of deliveries) delivery.reopen();
    }
    batch.answer();
    this.underWay--;
    if (this.underWay > 0) return;
    for (const resolve of this.idle.splice(0)) resolve();
  }
}
