import type { Consumer } from '../groups/consumer.js';
import type { Group } from '../groups/group.js';
import type { BrokerHost } from '../host.js';
import type { Stores } from './stores.js';

/** How often leases and transactions are looked at while there are any. */
const SWEEP_MS = 250;
/** But not more often than this, however many timers fire. */
const MIN_SWEEP_MS = 20;
/** How often old segments are looked for. */
const RETENTION_EVERY_MS = 10_000;
/** How often the steps of the trace are written that are new. */
const TRACE_EVERY_MS = 1_000;
/** `setTimeout` takes no more than this, and the clock may be set meanwhile. */
const MAX_SLEEP_MS = 1_000;

/** What is done when it is due. */
export interface TimedWork {
  fireTimers(): void;
  leasesRanOut(member: Consumer, nowMs: number): void;
  forgetInterests(group: Group): void;
  askProducers(): void;
  dropOldLetters(): void;
  redriveByItself(): void;
  dropOldSegments(): void;
  writeTrace(): void;
  lookAtSpace(): void;
}

/** The broker's sense of time: one timeout, set to the next thing that is due. */
export class Ticker {
  private timeout: NodeJS.Timeout | undefined;
  private wakesAtMs = Infinity;
  private sweptAtMs = 0;
  /** When leases were looked at last, in the milliseconds they are counted in. */
  private lookedAtMs = -Infinity;
  private retainedAtMs = 0;
  private tracedAtMs = 0;
  private running = false;

  constructor(
    private readonly host: Pick<BrokerHost, 'journal' | 'space' | 'now' | 'monotonicMs'>,
    private readonly stores: Pick<Stores, 'groups' | 'timers' | 'transactions'>,
    private readonly work: TimedWork,
  ) {}

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
    const { stores } = this;
    const now = this.host.now();
    let soonest = now + MAX_SLEEP_MS;
    // Those that are due wait while the disk is nearly full.
    if (!this.host.space.isShort) soonest = Math.min(soonest, stores.timers.soonest() ?? Infinity);
    let busy = stores.transactions.size > 0;
    for (const group of stores.groups.everyone()) {
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
    const sleepMs = Math.min(Math.max(1, dueAtMs - this.host.now()), MAX_SLEEP_MS);
    const wakesMs = performance.now() + sleepMs;
    this.timeout = setTimeout(() => {
      const lateMs = performance.now() - wakesMs;
      this.tick(lateMs > MIN_SWEEP_MS ? this.lookedAtMs : undefined);
      if (this.running) this.schedule();
    }, sleepMs);
  }

  /**
   * Does everything that is due. After a process has stood still (stopped, swapped out, a machine that slept), what
   * its clients sent meanwhile to keep their leases waits unread: then a lease ends that had run out at the last look
   * already, and the others are looked at once more.
   *
   * @param leasesAsOfMs leases that had run out then end
   */
  tick(leasesAsOfMs = this.host.monotonicMs()): void {
    const { host, stores, work } = this;
    if (host.journal.failed) return;
    const now = host.now();
    work.lookAtSpace();
    work.fireTimers();
    for (const group of stores.groups.everyone()) group.releaseDue(now);
    if (Math.abs(now - this.sweptAtMs) < MIN_SWEEP_MS) return;
    this.sweptAtMs = now;
    this.lookedAtMs = host.monotonicMs();
    for (const { members } of stores.groups.everyone())
      for (const member of members) work.leasesRanOut(member, leasesAsOfMs);
    for (const group of stores.groups.all()) work.forgetInterests(group);
    work.askProducers();
    work.dropOldLetters();
    work.redriveByItself();
    if (Math.abs(now - this.tracedAtMs) >= TRACE_EVERY_MS) {
      this.tracedAtMs = now;
      work.writeTrace();
    }
    if (Math.abs(now - this.retainedAtMs) < RETENTION_EVERY_MS) return;
    this.retainedAtMs = now;
    work.dropOldSegments();
  }
}
