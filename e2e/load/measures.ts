import { LatencyRecorder, type LatencySummary } from './latency.js';

/** A stage of the sale: how many orders came through it, from when to when. */
export class Stage {
  count = 0;
  private lastAtMs = 0;

  /** `atMs` on the same clock as the start that `perSecond` is given. */
  passed(atMs: number): void {
    this.count += 1;
    this.lastAtMs = Math.max(this.lastAtMs, atMs);
  }

  /** Orders a second from `startMs` until the last one was through. */
  perSecond(startMs: number): number {
    const tookMs = this.lastAtMs - startMs;
    return this.count === 0 || tookMs <= 0 ? 0 : Math.round((this.count * 10_000) / tookMs) / 10;
  }
}

/** What a run measures. Times are epoch milliseconds; the shop's own come from the orders' histories. */
export class Measures {
  readonly answers = new Map<string, number>();
  readonly acceptLatency = new LatencyRecorder();
  readonly answerLatency = new LatencyRecorder();
  readonly pendingPaymentLatency = new LatencyRecorder();
  readonly accepted = new Stage();
  readonly persisted = new Stage();
  readonly paid = new Stage();
  retries = 0;
  firstCheckoutAtMs: number | undefined;
  /** When the last buyer asked who was told that it is sold out. */
  lastSoldOutAskedAtMs: number | undefined;

  constructor(readonly startedAtMs: number) {}

  /** The last answer to a buyer, retries included. `202`, or the problem's code. */
  answered(answer: string, times: { dueAtMs: number; askedAtMs: number; answeredAtMs: number }): void {
    this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1);
    const latencyMs = times.answeredAtMs - times.dueAtMs;
    this.answerLatency.record(latencyMs);
    if (answer === '202') {
      this.acceptLatency.record(latencyMs);
      this.accepted.passed(times.answeredAtMs);
    }
    if (answer === 'SOLD_OUT') {
      this.lastSoldOutAskedAtMs = Math.max(this.lastSoldOutAskedAtMs ?? 0, times.askedAtMs);
    }
  }

  /** An order's history as the shop tells it. */
  came(history: readonly { status: string; at: string }[], dueAtMs: number): void {
    const at = (status: string): number | undefined => {
      const step = history.find((entry) => entry.status === status);
      return step && Date.parse(step.at);
    };
    const pendingAt = at('PENDING_PAYMENT');
    if (pendingAt !== undefined) {
      this.persisted.passed(pendingAt);
      this.pendingPaymentLatency.record(pendingAt - dueAtMs);
    }
    const paidAt = at('PAID');
    if (paidAt !== undefined) this.paid.passed(paidAt);
  }

  checkedOut(atMs: number): void {
    this.firstCheckoutAtMs ??= atMs;
  }

  /** Those who were told whether there is a ticket for them; the others did not really ask. */
  get demand(): number {
    return (this.answers.get('202') ?? 0) + (this.answers.get('SOLD_OUT') ?? 0);
  }

  rates(): { acceptedPerSecond: number; persistedPerSecond: number; paidPerSecond: number } {
    return {
      acceptedPerSecond: this.accepted.perSecond(this.startedAtMs),
      persistedPerSecond: this.persisted.perSecond(this.startedAtMs),
      paidPerSecond: this.paid.perSecond(this.firstCheckoutAtMs ?? this.startedAtMs),
    };
  }

  latencies(): Record<'acceptLatencyMs' | 'pendingPaymentLatencyMs' | 'answerLatencyMs', LatencySummary> {
    return {
      acceptLatencyMs: this.acceptLatency.summary(),
      pendingPaymentLatencyMs: this.pendingPaymentLatency.summary(),
      answerLatencyMs: this.answerLatency.summary(),
    };
  }
}
