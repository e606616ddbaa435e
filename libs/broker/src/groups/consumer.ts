import { MessagingError, type Subscription } from '#libs/messaging/port';
import { InFlight } from '../in-flight.js';
import type { ClientIdentity, RawDelivery, SessionEvents } from '../session.js';
import { Actor } from '../trace/actors.js';
import type { Delivery, Recipient } from './delivery.js';
import type { Interest } from './interests.js';
import type { SharedReads } from './shared-reads.js';

/** Consumers of one session; a delivery id names its consumer in the lowest eight bits. */
export const MAX_CONSUMERS_PER_SESSION = 256;
/** `&` takes these bits of large numbers too, and is no division. */
export const consumerIdOf = (deliveryId: number): number => deliveryId & (MAX_CONSUMERS_PER_SESSION - 1);

/** Longest lease, extended or not. */
export const MAX_LEASE_MS = 24 * 3_600_000;

type PullWaiter = { wanted: number; resolve: (deliveries: readonly RawDelivery[]) => void };

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function boundsOf({
  maxInFlightMessages = 256,
  maxInFlightBytes = 16 * 1024 * 1024,
  leaseMs = 30_000,
}: Subscription): Pick<Consumer, 'maxInFlightMessages' | 'maxInFlightBytes' | 'leaseMs'> {
  return {
    maxInFlightMessages: bounded('maxInFlightMessages', maxInFlightMessages, 65_536),
    maxInFlightBytes: bounded('maxInFlightBytes', maxInFlightBytes, 2 ** 31),
    leaseMs: bounded('leaseMs', leaseMs, MAX_LEASE_MS),
  };
}

/** A member of a group. */
export class Consumer implements Recipient {
  readonly clientName: string;
  readonly actor: Actor;
  readonly inFlight: InFlight<Delivery>;
  private inFlightBytes = 0;
  paused = false;
  /** Kept free for a message that is tried alone. */
  isReserved = false;
  readonly maxInFlightMessages: number;
  readonly maxInFlightBytes: number;
  readonly leaseMs: number;
  readonly atMostOnce: boolean;
  /** What it takes; known when it has joined. */
  interest!: Interest;
  /** What the running dispatch has given to it. */
  outbox: Delivery[] = [];
  /** Some of that may have been under way when the broker ended last, and was not looked at yet for this. */
  hasOldInOutbox = false;
  /** Flushes that what is in the outbox waits for. */
  flushes = 0;
  pull: PullWaiter | undefined;

  constructor(
    readonly id: number,
    group: { readonly name: string; readonly mode: 'shared' | 'broadcast' },
    client: ClientIdentity,
    readonly events: SessionEvents,
    readonly mode: 'push' | 'pull',
    subscription: Subscription,
    /** Number of its last delivery, from which the next ones count. No earlier consumer of this id may have had a higher one. */
    private lastNumber: number,
  ) {
    this.clientName = client.name;
    this.actor = new Actor(group.name, client.name, client.node);
    const { maxInFlightMessages, maxInFlightBytes, leaseMs } = boundsOf(subscription);
    this.maxInFlightMessages = maxInFlightMessages;
    this.inFlight = new InFlight<Delivery>(maxInFlightMessages);
    this.maxInFlightBytes = maxInFlightBytes;
    this.leaseMs = leaseMs;
    // What is broadcast is not recorded, and so never comes twice.
    this.atMostOnce = subscription.guarantee === 'at-most-once' && group.mode === 'shared';
  }

  /** Has nothing to do, and may be given something. */
  get isIdle(): boolean {
    return this.inFlight.size === 0 && (this.mode === 'push' || this.pull !== undefined);
  }

  get hasRoom(): boolean {
    if (this.paused || this.isReserved) return false;
    if (this.mode === 'pull' && this.outbox.length >= (this.pull?.wanted ?? 0)) return false;
    return this.inFlight.size < this.maxInFlightMessages && this.inFlightBytes < this.maxInFlightBytes;
  }

  nextDeliveryId(): number {
    this.lastNumber += 1;
    return this.lastNumber * MAX_CONSUMERS_PER_SESSION + this.id;
  }

  take(delivery: Delivery, sharedReads: SharedReads): void {
    this.inFlight.add(delivery);
    this.inFlightBytes += delivery.bodyBytes;
    delivery.block.users += 1;
    this.outbox.push(delivery);
    if (delivery.offset < delivery.cursor.endAtStart) this.hasOldInOutbox = true;
    if (!this.events.copiesDeliveries) delivery.keepReadable(sharedReads);
  }

  /**
   * It is settled for good: nobody reads its record again. One whose lease is lost may not have been copied yet, and
   * leaves its block to the collector.
   */
  release(delivery: Delivery): void {
    delivery.block.users -= 1;
  }

  /** It is settled, or its lease is lost. */
  remove(delivery: Delivery): void {
    this.inFlight.remove(delivery);
    this.inFlightBytes -= delivery.bodyBytes;
  }

  /** Deliveries whose lease has run out. */
  expired(nowMs: number): Delivery[] {
    return this.inFlight.filter(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  /** Hands over what the dispatch has gathered, up to a delivery. */
  emit(lastId = Infinity): void {
    const { pull } = this;
    const count = this.outbox.findLastIndex(({ deliveryId }) => deliveryId <= lastId) + 1;
    if (count === 0) return;
    const handedOver = this.outbox;
    this.outbox = handedOver.splice(count);
    if (this.mode === 'push') {
      this.events.deliveries(this.id, handedOver);
    } else if (pull) {
      this.pull = undefined;
      pull.resolve(handedOver);
    }
  }
}

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function bounded(name: string, value: number, max: number): number {
  if (Number.isFinite(value) && value >= 1 && value <= max) return Math.floor(value);
  throw new MessagingError('INVALID_ARGUMENT', `${name}: from 1 to ${max}, not ${value}`);
}
