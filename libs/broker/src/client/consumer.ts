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
const DEFAULT_LEASE_MS = 30_000;
/** Leases are extended three times as often as they run out, so that one lost call loses none. */
const KEEPS_PER_LEASE = 3;
/** A handler that has not come to an end after so many leases hangs: its messages go to somebody else. */
const MAX_LEASES = 10;
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

  /** Those without a verdict whose leases are to be kept alive. */
  kept(): Delivery[] {
    return this.open.filter(({ isKept, state }) => isKept && state === 'open');
  }
}

/**
 * Hands deliveries to the handler of one subscription.
 *
 * Deliveries of a tick are gathered into batches of at most `maxBatchMessages`. As many calls run
 * beside each other as whole batches fit into the in-flight bound; while all are busy, arrivals
 * gather, so batches grow under load. Example: in-flight 1,000 and batches of 500 make two calls.
 *
 * Leases are kept alive while a delivery waits here and while its handler is at work, for ten leases each at most: a
 * slow handler would otherwise race the next owner of its messages, and one that hangs keep them for ever. What
 * waited for so long is given back, uncounted, since nobody began with it.
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
  private readonly leaseMs: number;
  private readonly keeper: NodeJS.Timeout;
  /** Counts the rounds of the keeper: a clock that costs nothing to read for each delivery. */
  private round = 0;

  constructor(private readonly parts: PushConsumerParts) {
    const { limits, settler, subscription } = parts;
    this.leaseMs = subscription.leaseMs ?? DEFAULT_LEASE_MS;
    this.keeper = setInterval(() => this.keepLeases(), this.leaseMs / KEEPS_PER_LEASE);
    this.keeper.unref();
    this.deliveries = new OpenDeliveries(settler, limits.maxInFlightMessages);
    this.maxCalls = Math.max(1, Math.floor(limits.maxInFlightMessages / limits.maxBatchMessages));
    this.busyKeys = subscription.order === 'by-key' ? new Set() : undefined;
  }

  take(raws: readonly RawDelivery[]): void {
    for (const raw of raws) {
      const delivery = this.deliveries.add(raw);
      delivery.keptSince = this.round;
      this.queue.push(delivery);
    }
    this.schedule();
  }

  close(drainMs = DEFAULT_DRAIN_MS): Promise<void> {
    this.closing ??= this.drain(drainMs);
    return this.closing;
  }

  /** The session is gone; nothing can be settled any more. */
  abandon(): void {
    this.closing ??= Promise.resolve();
    clearInterval(this.keeper);
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
      clearInterval(this.keeper);
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
        // Asked for in order by key alone: whoever looks at a message has it decoded, or copied.
        const key = busyKeys && delivery.message.key;
        if (key !== undefined && busyKeys?.has(key)) continue;
        delivery.keptSince = this.round;
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
    for (const delivery of batch) delivery.isKept = false;
    if (this.busyKeys !== undefined) releaseKeys(this.busyKeys, batch);
    this.running--;
    if (this.running === 0) for (const resolve of this.idle.splice(0)) resolve();
    this.dispatch();
  }

  private keepLeases(): void {
    this.round++;
    const kept = this.deliveries.kept();
    if (kept.length === 0) return;
    const waiting = new Set(this.queue);
    for (const delivery of kept) {
      const isOver = this.round - delivery.keptSince > MAX_LEASES * KEEPS_PER_LEASE;
      if (isOver) delivery.isKept = false;
      const end = (): Promise<unknown> =>
        waiting.has(delivery) ? delivery.release() : this.giveUp(delivery);
      const asked: Promise<unknown> = isOver ? end() : delivery.keep(this.leaseMs);
      asked.catch(() => {
        // Lost, or being settled: whoever works on it hears so from its signal and its verdict.
      });
    }
  }

  private giveUp({ message: { id } }: Delivery): Promise<void> {
    const { group } = this.parts.subscription;
    this.parts.log.warn(
      { group, messageId: id },
      'a handler does not come to an end; its message goes to somebody else',
    );
    return Promise.resolve();
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
