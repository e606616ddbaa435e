import { MessagingError, type Attempt, type StoredMessage, type Subscription } from '#libs/messaging';
import type { RawDelivery, SessionEvents } from '../session.js';
import type { Cursor } from './cursor.js';
import type { Group } from './group.js';

/** A message that is with a consumer. */
export type Delivery = {
  id: number;
  consumer: Consumer;
  cursor: Cursor;
  offset: number;
  attempt: number;
  history: readonly Attempt[];
  /** The same for this record alone: a retried message is a new record, and brings its past with it. */
  tries: { attempt: number; history: readonly Attempt[] };
  message: StoredMessage;
  deadlineMs: number;
  /** At-most-once: it counted as settled before it was handed over. */
  settledBefore: boolean;
};

/** Consumers of one session; a delivery id names its consumer in the lowest eight bits. */
export const MAX_CONSUMERS_PER_SESSION = 256;

const DEFAULTS = { maxInFlightMessages: 256, maxInFlightBytes: 16 * 1024 * 1024, leaseMs: 30_000 };

type PullWaiter = { wanted: number; resolve: (deliveries: readonly RawDelivery[]) => void };

/** A member of a group. */
export class Consumer {
  readonly inFlight = new Map<number, Delivery>();
  /** Deliveries whose lease was extended: only these can outlive ones that were delivered later. */
  private readonly extended = new Set<Delivery>();
  private inFlightBytes = 0;
  paused = false;
  readonly maxInFlightMessages: number;
  readonly maxInFlightBytes: number;
  readonly leaseMs: number;
  readonly atMostOnce: boolean;
  /** What the running dispatch has given to it. */
  outbox: RawDelivery[] = [];
  pull: PullWaiter | undefined;

  constructor(
    readonly id: number,
    readonly group: Group,
    readonly clientName: string,
    readonly events: SessionEvents,
    readonly mode: 'push' | 'pull',
    subscription: Subscription,
  ) {
    this.maxInFlightMessages = bounded(
      'maxInFlightMessages',
      subscription.maxInFlightMessages ?? DEFAULTS.maxInFlightMessages,
      65_536,
    );
    this.maxInFlightBytes = bounded(
      'maxInFlightBytes',
      subscription.maxInFlightBytes ?? DEFAULTS.maxInFlightBytes,
      2 ** 31,
    );
    this.leaseMs = bounded('leaseMs', subscription.leaseMs ?? DEFAULTS.leaseMs, 24 * 3_600_000);
    this.atMostOnce = subscription.guarantee === 'at-most-once';
  }

  get hasRoom(): boolean {
    if (this.paused) return false;
    if (this.mode === 'pull' && this.outbox.length >= (this.pull?.wanted ?? 0)) return false;
    return this.inFlight.size < this.maxInFlightMessages && this.inFlightBytes < this.maxInFlightBytes;
  }

  take(delivery: Delivery): void {
    this.inFlight.set(delivery.id, delivery);
    this.inFlightBytes += delivery.message.body.byteLength;
    this.outbox.push({
      deliveryId: delivery.id,
      attempt: delivery.attempt,
      history: delivery.history,
      message: delivery.message,
    });
  }

  /** It is settled, or its lease is lost. */
  remove(delivery: Delivery): void {
    this.inFlight.delete(delivery.id);
    this.extended.delete(delivery);
    this.inFlightBytes -= delivery.message.body.byteLength;
  }

  extend(delivery: Delivery, deadlineMs: number): void {
    delivery.deadlineMs = deadlineMs;
    this.extended.add(delivery);
  }

  /** Deliveries whose lease has run out. Those not extended are in the order of their deadlines. */
  expired(nowMs: number): Delivery[] {
    const expired: Delivery[] = [];
    for (const delivery of this.inFlight.values()) {
      if (this.extended.has(delivery)) continue;
      if (delivery.deadlineMs > nowMs) break;
      expired.push(delivery);
    }
    for (const delivery of this.extended) if (delivery.deadlineMs <= nowMs) expired.push(delivery);
    return expired;
  }

  /** Hands over what the dispatch has gathered. */
  emit(): void {
    const { outbox, pull } = this;
    if (outbox.length === 0) return;
    this.outbox = [];
    if (this.mode === 'push') {
      this.events.deliveries(this.id, outbox);
    } else if (pull) {
      this.pull = undefined;
      pull.resolve(outbox);
    }
  }
}

function bounded(name: string, value: number, max: number): number {
  if (Number.isFinite(value) && value >= 1 && value <= max) return Math.floor(value);
  throw new MessagingError('INVALID_ARGUMENT', `${name}: from 1 to ${max}, not ${value}`);
}
