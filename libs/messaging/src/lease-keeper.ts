import type { DeliveredMessage } from './broker-port.js';

/** Leases are extended three times as often as they run out, so that one lost call loses none. */
const EXTENSIONS_PER_LEASE = 3;
/** A handler that has not come to an end after so many leases hangs: its messages go to somebody else. */
const MAX_LEASES = 10;

type Parts = {
  /** The subscription's lease. */
  leaseMs: number;
  now: () => number;
  /** Called once for a delivery that was held for `MAX_LEASES` and is left to its lease. */
  givenUp: (delivered: DeliveredMessage, heldMs: number) => void;
};

/**
 * Keeps the leases of deliveries alive while there is work on them: a handler that is slower than its lease
 * would otherwise race the next owner of its messages. Example with a lease of 30 s and a handler that
 * takes 65 s (e extended, ✓ settled):
 *
 *     0 s ──── e 10 ──── e 20 ──── e 30 ──── e 40 ──── e 50 ──── e 60 ── ✓ 65
 *
 * Held for no longer than ten leases (five minutes by default): a handler that never ends must not keep its
 * messages for ever. One timer for all deliveries of a subscription, and none while there is no work.
 */
export class LeaseKeeper {
  private readonly held = new Map<DeliveredMessage, number>();
  /** Left to their leases, and still at work here. */
  private readonly givenUp = new Map<DeliveredMessage, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: Parts) {}

  hold(delivered: DeliveredMessage): void {
    this.held.set(delivered, this.parts.now());
    if (this.timer !== undefined) return;
    this.timer = setInterval(this.tick, this.parts.leaseMs / EXTENSIONS_PER_LEASE);
    this.timer.unref();
  }

  /** The same, of what is held still. */
  renew(delivered: DeliveredMessage): void {
    if (this.held.has(delivered)) this.held.set(delivered, this.parts.now());
  }

  release(delivered: DeliveredMessage): void {
    this.held.delete(delivered);
    this.givenUp.delete(delivered);
  }

  /** For how long the one that takes longest has been at work, in milliseconds; 0 without work. */
  longestHeldMs(): number {
    const sinceMs = Math.min(...this.held.values(), ...this.givenUp.values());
    return sinceMs === Infinity ? 0 : this.parts.now() - sinceMs;
  }

  private readonly tick = (): void => {
    const nowMs = this.parts.now();
    for (const [delivered, sinceMs] of this.held) {
      if (nowMs - sinceMs >= MAX_LEASES * this.parts.leaseMs) {
        this.held.delete(delivered);
        this.givenUp.set(delivered, sinceMs);
        this.parts.givenUp(delivered, nowMs - sinceMs);
        continue;
      }
      delivered.extend(this.parts.leaseMs).catch(() => {
        // Lost, or being settled. Whoever works on it hears so from the delivery's signal and its verdict.
      });
    }
    // Not at the last release: busy consumers would make and clear a timer for each batch.
    if (this.held.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  };
}
