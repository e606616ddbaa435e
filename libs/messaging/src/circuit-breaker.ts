/** From the first failure to the first probe; each failed probe doubles it. */
export const FIRST_PROBE_AFTER_MS = 500;
/** So long after its return a dependency may still be waited for. */
export const MAX_PROBE_PAUSE_MS = 10_000;
/** One piece of work that opens the circuit so often, while others get through, is itself what is wrong. */
const MAX_TRIPS = 3;

export type CircuitParts = {
  /** Whether a failure means that something the work needs is away, so that all other work would fail as well. */
  isUnavailable: (error: unknown) => boolean;
  now: () => number;
  opened: (error: unknown) => void;
  closed: (openMs: number) => void;
};

type Waiter = { go: () => void; stop: (error: Error) => void; keep: () => void };

/** The circuit was stopped with work waiting in front of it. */
export class CircuitStopped extends Error {}

/**
 * Holds a group's work back while something that it needs is away, and lets one piece of it at a time try
 * whether that is back. What waits here has not failed: nothing of an outage counts as an attempt.
 *
 *     closed ── a failure that means "away" ──> open ── probe succeeds ──> closed
 *                                               └─ probe fails: again, after twice the pause
 *
 * A probe that fails for another reason says nothing about the dependency: it gets its verdict, and the
 * next in line probes at once. Who fails with "away" goes to the end of the line, so that one message which
 * always fails like that cannot keep the others out.
 */
export class CircuitBreaker {
  private open:
    { sinceMs: number; pauseMs: number; probeAtMs: number; probingSinceMs: number | undefined } | undefined;
  private readonly waiting: Waiter[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly parts: CircuitParts) {}

  /** How long work has been held back, in milliseconds; undefined while it is not. */
  get openMs(): number | undefined {
    return this.open && this.parts.now() - this.open.sinceMs;
  }

  /** For how long the probe under way has been at work, in milliseconds; 0 without one. */
  get probingMs(): number {
    const sinceMs = this.open?.probingSinceMs;
    return sinceMs === undefined ? 0 : this.parts.now() - sinceMs;
  }

  /**
   * Runs `work` as soon as the circuit lets it, and again while it fails because something is away.
   * @param work is told whether it is to find out if something is back
   * @param keep is called every few seconds while it waits
   * @throws what `work` throws otherwise, `CircuitStopped` after `stop`
   */
  async run<T>(work: (isProbe: boolean) => Promise<T>, keep: () => void): Promise<T> {
    for (let trips = 0; ;) {
      if (this.open !== undefined) await this.turn(keep);
      const isProbe = this.open !== undefined;
      try {
        const result = await work(isProbe);
        this.close();
        return result;
      } catch (error) {
        if (!this.parts.isUnavailable(error)) {
          if (isProbe) this.probeIn(0);
          throw error;
        }
        if (this.open === undefined && ++trips > MAX_TRIPS) throw error;
        this.trip(error, isProbe);
      }
    }
  }

  /** From now on nothing waits: who is in line gives up, and so does who would have to get in line. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    for (const { stop } of this.waiting.splice(0)) stop(new CircuitStopped('the consumer is closing'));
  }

  private turn(keep: () => void): Promise<void> {
    const { open } = this;
    if (this.isStopped) return Promise.reject(new CircuitStopped('the consumer is closing'));
    if (open !== undefined && open.probingSinceMs === undefined && this.parts.now() >= open.probeAtMs) {
      open.probingSinceMs = this.parts.now();
      return Promise.resolve();
    }
    return new Promise((go, stop) => this.waiting.push({ go, stop, keep }));
  }

  private trip(error: unknown, isProbe: boolean): void {
    if (this.open === undefined) {
      this.open = { sinceMs: this.parts.now(), pauseMs: 0, probeAtMs: 0, probingSinceMs: undefined };
      this.parts.opened(error);
    } else if (!isProbe) {
      return;
    }
    const { pauseMs } = this.open;
    this.open.pauseMs = pauseMs === 0 ? FIRST_PROBE_AFTER_MS : Math.min(2 * pauseMs, MAX_PROBE_PAUSE_MS);
    this.probeIn(this.open.pauseMs);
  }

  private probeIn(pauseMs: number): void {
    if (this.open === undefined || this.isStopped) return;
    this.open.probingSinceMs = undefined;
    this.open.probeAtMs = this.parts.now() + pauseMs;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.probe, pauseMs);
  }

  private readonly probe = (): void => {
    for (const { keep } of this.waiting) keep();
    const first = this.waiting.shift();
    // With nobody in line, whoever comes next is the probe.
    if (first === undefined || this.open === undefined) return;
    this.open.probingSinceMs = this.parts.now();
    first.go();
  };

  private close(): void {
    if (this.open === undefined) return;
    const { sinceMs } = this.open;
    this.open = undefined;
    clearTimeout(this.timer);
    this.parts.closed(this.parts.now() - sinceMs);
    for (const { go } of this.waiting.splice(0)) go();
  }
}
