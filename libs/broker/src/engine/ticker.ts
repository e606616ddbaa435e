import { forgetInterests } from '../groups/membership.js';
import type { Engine } from './engine.js';

/** How often leases and transactions are looked at while there are any. */
const SWEEP_MS = 250;
/** But not more often than this, however many timers fire. */
const MIN_SWEEP_MS = 20;
/** How often old segments are looked for. */
const RETENTION_EVERY_MS = 10_000;
/** `setTimeout` takes no more than this, and the clock may be set meanwhile. */
const MAX_SLEEP_MS = 1_000;

/** The broker's sense of time: one timeout, set to the next thing that is due. */
export class Ticker {
  private timeout: NodeJS.Timeout | undefined;
  private wakesAtMs = Infinity;
  private sweptAtMs = 0;
  private retainedAtMs = 0;
  private running = false;

  constructor(private readonly engine: Engine) {}

  start(): void {
    this.running = true;
    this.schedule();
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.timeout);
  }

  /** Something is due at `dueAtMs`, which may be sooner than was known. */
  reconsider(dueAtMs: number): void {
    if (this.running && dueAtMs < this.wakesAtMs) this.sleepUntil(dueAtMs);
  }

  private soonest(): number {
    const { state } = this.engine;
    const now = this.engine.now();
    let soonest = now + MAX_SLEEP_MS;
    soonest = Math.min(soonest, state.timers.soonest() ?? Infinity);
    let busy = state.transactions.size > 0;
    for (const group of state.groups.everyone()) {
      for (const { dueAtMs } of group.waiting) soonest = Math.min(soonest, dueAtMs);
      busy ||= group.members.length > 0 && group.members.some(({ inFlight }) => inFlight.size > 0);
    }
    return busy ? Math.min(soonest, now + SWEEP_MS) : soonest;
  }

  private schedule(): void {
    this.sleepUntil(this.soonest());
  }

  private sleepUntil(dueAtMs: number): void {
    clearTimeout(this.timeout);
    this.wakesAtMs = dueAtMs;
    const sleepMs = Math.min(Math.max(1, dueAtMs - this.engine.now()), MAX_SLEEP_MS);
    this.timeout = setTimeout(() => {
      this.tick();
      if (this.running) this.schedule();
    }, sleepMs);
  }

  /** Does everything that is due. */
  tick(): void {
    const { engine } = this;
    if (engine.journal.failed) return;
    const now = engine.now();
    void engine.timers.fireDue();
    for (const group of engine.state.groups.everyone()) group.releaseDue(now);
    if (Math.abs(now - this.sweptAtMs) < MIN_SWEEP_MS) return;
    this.sweptAtMs = now;
    this.sweepLeases();
    for (const group of engine.state.groups.all()) forgetInterests(engine, group);
    engine.deciding.check();
    engine.letterRetention.enforce();
    engine.automaticRedriving.look();
    if (Math.abs(now - this.retainedAtMs) < RETENTION_EVERY_MS) return;
    this.retainedAtMs = now;
    void engine.retention.enforce();
  }

  private sweepLeases(): void {
    const nowMs = this.engine.monotonicMs();
    for (const group of this.engine.state.groups.everyone()) {
      for (const member of group.members) {
        const expired = member.expired(nowMs);
        if (expired.length === 0) continue;
        this.engine.settling.loseLeases(expired, 'the lease ran out');
        member.events.leaseLost(
          member.id,
          expired.map(({ deliveryId }) => deliveryId),
        );
      }
    }
  }
}
