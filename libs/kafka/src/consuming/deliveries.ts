import type { Attempt, BatchHandler, DeliveredMessage } from '#libs/messaging/port';
import type { ReadRecord } from '../sending/records.js';
import { Delivery, type Verdict } from './delivery.js';
import { Lanes } from './lanes.js';
import type { Item, PartitionWork } from './partition-work.js';
import { type SettlementParts, Settlements } from './settlements.js';
import type { Terms } from './subscription.js';

/** Back-off for a handler that threw and left its messages without a verdict: 1 s, 2 s, 4 s … 1 min. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
const SWEEPS_PER_LEASE = 3;
/** A handler that has not come to an end after so many leases hangs: its messages are delivered again. */
const MAX_LEASES = 10;
const MAX_TIMER_MS = 2 ** 31 - 1;

export type DeliveryParts = SettlementParts & {
  flightChanged: () => void;
  /** A message of the partition is done with. */
  finished: (work: PartitionWork) => void;
};

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What a member has read and not settled: waits for its time, its lane or room in flight, is in flight, or waits for another try. */
export class Deliveries {
  private readonly lanes = new Lanes();
  private readonly inFlight = new Set<Delivery>();
  private inFlightBytes = 0;
  private calls = 0;
  private readonly maxCalls: number;
  private isOpen = true;
  private scheduled = false;
  private readonly timers = new Set<NodeJS.Timeout>();
  private sweep: NodeJS.Timeout | undefined;
  private readonly settlements: Settlements;
  /** Resolved when something may be taken, or nothing is in flight any more. */
  private changed: (() => void)[] = [];

  constructor(
    private readonly terms: Terms,
    private readonly handler: BatchHandler | undefined,
    private readonly parts: DeliveryParts,
  ) {
    this.maxCalls = Math.max(1, Math.floor(terms.maxInFlightMessages / terms.maxBatchMessages));
    this.settlements = new Settlements(terms, parts, {
      finish: (item) => this.finish(item),
      again: (item, delayMs) => this.againLater(item, delayMs),
    });
  }

  add(work: PartitionWork, offset: number, read: ReadRecord): void {
    const { key, topic, body } = read.message;
    const lane = this.terms.isByKey && key !== undefined ? `${topic}\n${key}` : undefined;
    const item = { work, offset, read, bytes: body.byteLength, lane };
    work.openBytes += item.bytes;
    const waitMs = read.dueAtMs - Date.now();
    if (waitMs <= 0) return this.enter(item);
    this.later(waitMs, () => this.enter(item));
  }

  open(): void {
    this.isOpen = true;
    this.schedule();
  }

  async pull(maxMessages: number, waitMs: number): Promise<readonly DeliveredMessage[]> {
    for (const deadlineMs = performance.now() + waitMs; ;) {
      const items = this.isOpen ? this.next(maxMessages) : [];
      const leftMs = deadlineMs - performance.now();
      if (items.length === 0 && leftMs > 0) {
        await this.untilChange(leftMs);
        continue;
      }
      const deliveries = await this.handOver(items);
      for (const delivery of deliveries) delivery.isKept = false;
      return deliveries;
    }
  }

  /** Hands nothing over any more, and waits up to `drainMs` for the handlers at work, or also for what has no verdict after they have ended. */
  async drain(drainMs: number, what: 'handlers' | 'verdicts'): Promise<void> {
    this.isOpen = false;
    const isAtWork = (): boolean =>
      this.calls > 0 ||
      (what === 'verdicts'
        ? this.inFlight.size > 0
        : [...this.inFlight].some(({ state }) => state === 'settling'));
    for (const deadlineMs = performance.now() + drainMs; isAtWork();) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) return;
      await this.untilChange(leftMs);
    }
  }

  /** The partitions are somebody else's. */
  loseAll(): void {
    this.isOpen = false;
    for (const delivery of this.inFlight) delivery.lose();
    this.inFlight.clear();
    this.inFlightBytes = 0;
    this.lanes.clear();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    clearInterval(this.sweep);
    this.sweep = undefined;
  }

  private enter(item: Item): void {
    this.lanes.add(item);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    process.nextTick(() => {
      this.scheduled = false;
      this.tellChange();
      if (this.handler !== undefined) this.dispatch(this.handler);
    });
  }

  private dispatch(handler: BatchHandler): void {
    while (this.isOpen && this.calls < this.maxCalls) {
      const items = this.next(this.terms.maxBatchMessages);
      if (items.length === 0) return;
      this.calls++;
      void this.run(handler, items);
    }
  }

  /** What may be delivered now; what has outlived its time to live is given up on the way. */
  private next(max: number): Item[] {
    for (;;) {
      let bytes = this.inFlightBytes;
      const room = Math.min(max, this.terms.maxInFlightMessages - this.inFlight.size);
      const items = this.lanes.take(room, (item) => {
        if (bytes > 0 && bytes + item.bytes > this.terms.maxInFlightBytes) return false;
        bytes += item.bytes;
        return true;
      });
      const nowMs = Date.now();
      const fresh = items.filter(({ read }) => read.expiresAtMs > nowMs);
      for (const item of items) if (!fresh.includes(item)) void this.settlements.expire(item);
      if (fresh.length > 0 || items.length === 0) return fresh;
    }
  }

  private async run(handler: BatchHandler, items: readonly Item[]): Promise<void> {
    const batch = await this.handOver(items);
    try {
      if (batch.length > 0) await handler(batch);
    } catch (error) {
      this.afterThrow(batch, error);
    }
    for (const delivery of batch) delivery.isKept = false;
    this.calls--;
    this.schedule();
  }

  private async handOver(items: readonly Item[]): Promise<Delivery[]> {
    const nowMs = performance.now();
    const deliveries = items.map((item) => {
      const settle = (delivery: Delivery, verdict: Verdict) => this.settle(delivery, verdict);
      const delivery = new Delivery(item, settle, () => performance.now(), nowMs);
      delivery.leaseEndsAtMs = nowMs + this.terms.leaseMs;
      this.inFlight.add(delivery);
      this.inFlightBytes += item.bytes;
      item.work.inFlight++;
      return delivery;
    });
    this.parts.flightChanged();
    this.sweep ??= setInterval(() => this.endLeases(), this.terms.leaseMs / SWEEPS_PER_LEASE).unref();
    if (!this.terms.isAtMostOnce) return deliveries;
    try {
      for (const { item } of deliveries) this.finish(item);
      await Promise.all(
        [...new Set(items.map(({ work }) => work))].map((work) => this.parts.commits.add(work)),
      );
      return deliveries;
    } catch {
      // Not known to be committed, so not handed over.
      for (const delivery of deliveries) {
        delivery.lose();
        this.land(delivery);
      }
      return [];
    }
  }

  private async settle(delivery: Delivery, verdict: Verdict): Promise<void> {
    const { item } = delivery;
    // Committed before it was handed over; a broadcast keeps nothing.
    if (!this.terms.isAtMostOnce && !this.terms.isBroadcast) {
      await this.settlements.settle(delivery, verdict, () => this.land(delivery));
      return;
    }
    this.land(delivery);
    if (!this.terms.isAtMostOnce) this.finish(item);
  }

  /** It is not in flight any more. */
  private land(delivery: Delivery): void {
    if (!this.inFlight.delete(delivery)) return;
    this.inFlightBytes -= delivery.item.bytes;
    delivery.item.work.inFlight--;
    this.parts.flightChanged();
    this.schedule();
  }

  private finish(item: Item): void {
    item.work.window.finish(item.offset);
    item.work.window.acked++;
    item.work.openBytes -= item.bytes;
    this.lanes.done(item);
    this.parts.finished(item.work);
    this.schedule();
  }

  private againLater(item: Item, delayMs: number): void {
    const again = (): void => {
      this.lanes.again(item);
      this.schedule();
    };
    if (delayMs <= 0) again();
    else this.later(delayMs, again);
  }

  private later(delayMs: number, work: () => void): void {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        if (delayMs > MAX_TIMER_MS) this.later(delayMs - MAX_TIMER_MS, work);
        else work();
      },
      Math.min(delayMs, MAX_TIMER_MS),
    );
    this.timers.add(timer);
  }

  private endLeases(): void {
    const nowMs = performance.now();
    for (const delivery of this.inFlight) {
      const hangs = nowMs - delivery.heldSinceMs > MAX_LEASES * this.terms.leaseMs;
      if (delivery.isKept && !hangs) delivery.leaseEndsAtMs = nowMs + this.terms.leaseMs;
      if (nowMs < delivery.leaseEndsAtMs || delivery.state !== 'open') continue;
      delivery.lose();
      this.land(delivery);
      if (this.terms.isAtMostOnce || this.terms.isBroadcast) continue;
      const attempt: Attempt = {
        attempt: delivery.attempt,
        atMs: Date.now(),
        consumer: this.parts.clientName,
        error: 'the lease ran out',
        isLost: true,
      };
      void this.settlements.failed(delivery.item, attempt);
    }
  }

  private afterThrow(batch: readonly Delivery[], error: unknown): void {
    const left = batch.filter(({ state }) => state === 'open');
    const details = {
      group: this.terms.group,
      messages: batch.length,
      left: left.length,
      error: errorText(error),
    };
    if (left.length > 0)
      this.parts.log.warn(details, 'a handler threw; its messages without a verdict are retried');
    for (const delivery of left) {
      const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(delivery.attempt - 1, 16));
      // When this fails too, the lease runs out and the message is delivered again.
      delivery.retry({ delayMs, error: errorText(error) }).catch((failure: unknown) => {
        this.parts.log.warn(
          { group: this.terms.group, error: errorText(failure) },
          'a retry was not recorded',
        );
      });
    }
  }

  private tellChange(): void {
    for (const resolve of this.changed.splice(0)) resolve();
  }

  private async untilChange(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(timeoutMs, MAX_TIMER_MS));
      this.changed.push(resolve);
    });
    clearTimeout(timer);
  }
}
