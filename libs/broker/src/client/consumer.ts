import type { BatchHandler, BrokerConsumer, Subscription } from '#libs/messaging/port';
import { InFlight } from '../in-flight.js';
import type { BrokerSession, RawDelivery } from '../session.js';
import { Delivery } from './delivery.js';
import type { DeliveryOwner, Settler } from './delivery.js';
import { errorText } from './log.js';
import type { ClientLog } from './log.js';

const DEFAULT_DRAIN_MS = 10_000;
/** Back-off for a handler that threw and left its messages without a verdict: 1 s, 2 s, 4 s … 1 min. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** Given-out entries at the head of the queue before it is cut. */
const COMPACT_AT = 1_024;

export type PushConsumerParts = {
  id: number;
  session: BrokerSession;
  settler: Settler;
  subscription: Subscription;
  limits: { maxBatchMessages: number; maxInFlightMessages: number };
  handler: BatchHandler;
  log: ClientLog;
  /** Called when this consumer is about to leave its group. */
  forget: (id: number) => void;
};

/** The deliveries of one consumer that are neither settled nor lost. */
export class OpenDeliveries implements DeliveryOwner {
  private readonly open: InFlight<Delivery>;

  constructor(
    readonly settler: Settler,
    maxInFlightMessages: number,
  ) {
    this.open = new InFlight(maxInFlightMessages);
  }

  add(raw: RawDelivery): Delivery {
    const delivery = new Delivery(raw, this);
    this.open.add(delivery);
    return delivery;
  }

  forget(delivery: Delivery): void {
    this.open.remove(delivery);
  }

  lose(deliveryIds: readonly number[]): void {
    for (const id of deliveryIds) this.open.get(id)?.lose();
  }

  loseAll(): void {
    for (const delivery of this.open.all()) delivery.lose();
  }
}

/**
 * Hands deliveries to the handler of one subscription.
 *
 * Deliveries of a tick are gathered into batches of at most `maxBatchMessages`. As many calls run
 * beside each other as whole batches fit into the in-flight bound; while all are busy, arrivals
 * gather, so batches grow under load. Example: in-flight 1,000 and batches of 500 make two calls.
 */
export class PushConsumer implements BrokerConsumer {
  readonly deliveries: OpenDeliveries;
  private queue: (Delivery | undefined)[] = [];
  private head = 0;
  private running = 0;
  private scheduled = false;
  private closing: Promise<void> | undefined;
  private readonly idle: (() => void)[] = [];
  private readonly maxCalls: number;
  /** Keys with a running call; only used when the subscription is by key. */
  private readonly busyKeys: Set<string> | undefined;

  constructor(private readonly parts: PushConsumerParts) {
    const { limits, settler, subscription } = parts;
    this.deliveries = new OpenDeliveries(settler, limits.maxInFlightMessages);
    this.maxCalls = Math.max(1, Math.floor(limits.maxInFlightMessages / limits.maxBatchMessages));
    this.busyKeys = subscription.order === 'by-key' ? new Set() : undefined;
  }

  take(raws: readonly RawDelivery[]): void {
    for (const raw of raws) this.queue.push(this.deliveries.add(raw));
    this.schedule();
  }

  close(drainMs = DEFAULT_DRAIN_MS): Promise<void> {
    this.closing ??= this.drain(drainMs);
    return this.closing;
  }

  /** The session is gone; nothing can be settled any more. */
  abandon(): void {
    this.closing ??= Promise.resolve();
    this.deliveries.loseAll();
    this.queue = [];
    this.head = 0;
  }

  private async drain(drainMs: number): Promise<void> {
    const { id, session, forget } = this.parts;
    try {
      await session.pause(id);
      await this.settledOrTimeout(drainMs);
    } finally {
      forget(id);
      await session.detach(id).finally(() => this.deliveries.loseAll());
    }
  }

  /** Waits for the running calls and their verdicts. What was not yet handed over goes back with `detach`. */
  private async settledOrTimeout(drainMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
    });
    await Promise.race([timeout, this.finished().then(() => this.deliveries.settler.drained())]);
    clearTimeout(timer);
  }

  private finished(): Promise<void> {
    if (this.running === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    process.nextTick(() => {
      this.scheduled = false;
      this.dispatch();
    });
  }

  private dispatch(): void {
    while (this.running < this.maxCalls && this.closing === undefined) {
      const batch = this.nextBatch();
      if (batch.length === 0) return;
      this.running++;
      void this.run(batch);
    }
  }

  private nextBatch(): Delivery[] {
    const { queue, busyKeys } = this;
    const batch: Delivery[] = [];
    let scan = this.head;
    for (; scan < queue.length && batch.length < this.parts.limits.maxBatchMessages; scan++) {
      const delivery = queue[scan];
      // Given out already, lost while it waited, or its key is busy in another call.
      if (delivery === undefined) continue;
      if (delivery.state === 'open') {
        const { key } = delivery.message;
        if (busyKeys !== undefined && key !== undefined && busyKeys.has(key)) continue;
        batch.push(delivery);
      }
      queue[scan] = undefined;
    }
    while (this.head < queue.length && queue[this.head] === undefined) this.head++;
    if (this.head === queue.length || this.head > COMPACT_AT) {
      queue.splice(0, this.head);
      this.head = 0;
    }
    if (busyKeys !== undefined) holdKeys(busyKeys, batch);
    return batch;
  }

  private async run(batch: readonly Delivery[]): Promise<void> {
    try {
      await this.parts.handler(batch);
    } catch (error) {
      const left = batch.filter(({ state }) => state === 'open').length;
      const details = {
        group: this.parts.subscription.group,
        messages: batch.length,
        left,
        error: errorText(error),
      };
      if (left > 0)
        this.parts.log.warn(details, 'a handler threw; its messages without a verdict are retried');
      // Usually a verdict that came too late, once per message of a lost connection.
      else this.parts.log.info(details, 'a handler threw; it has nothing left to settle');
      for (const delivery of batch) this.retryLater(delivery, errorText(error));
    }
    if (this.busyKeys !== undefined) releaseKeys(this.busyKeys, batch);
    this.running--;
    if (this.running === 0) for (const resolve of this.idle.splice(0)) resolve();
    this.dispatch();
  }

  private retryLater(delivery: Delivery, error: string): void {
    if (delivery.state !== 'open') return;
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(delivery.attempt - 1, 16));
    // When this fails too, the lease runs out and the message is delivered again.
    delivery.retry({ delayMs, error }).catch((failure: unknown) => {
      this.parts.log.warn(
        { group: this.parts.subscription.group, error: errorText(failure) },
        'a retry was not recorded',
      );
    });
  }
}

function holdKeys(busy: Set<string>, batch: readonly Delivery[]): void {
  for (const { message } of batch) if (message.key !== undefined) busy.add(message.key);
}

function releaseKeys(busy: Set<string>, batch: readonly Delivery[]): void {
  for (const { message } of batch) if (message.key !== undefined) busy.delete(message.key);
}
