import { build, type Histogram } from 'hdr-histogram-js';

export type LatencySummary = { p50: number; p95: number; p99: number; p999: number; max: number };

/** Finer than the clock needs, and never wrong by more than a tenth of a percent. */
const UNITS_PER_MS = 100;
const HIGHEST_MS = 3_600_000;

/** Latencies, all of them, in bounded memory. */
export class LatencyRecorder {
  private readonly histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_MS * UNITS_PER_MS,
    numberOfSignificantValueDigits: 3,
  });

  /** Two machines' clocks may make a latency negative: it counts as zero. */
  record(latencyMs: number): void {
    const bounded = Math.min(Math.max(latencyMs, 0), HIGHEST_MS);
    this.histogram.recordValue(Math.round(bounded * UNITS_PER_MS));
  }

  get count(): number {
    return this.histogram.totalCount;
  }

  /** Milliseconds; all zero when nothing was recorded. */
  summary(): LatencySummary {
    // The histogram answers with the upper end of the bucket that a percentile falls into, which may lie above all that was
    // recorded. Its greatest value is exact.
    const at = (percentile: number): number =>
      this.count === 0
        ? 0
        : Math.min(this.histogram.getValueAtPercentile(percentile), this.histogram.maxValue) / UNITS_PER_MS;
    return {
      p50: at(50),
      p95: at(95),
      p99: at(99),
      p999: at(99.9),
      max: this.count === 0 ? 0 : this.histogram.maxValue / UNITS_PER_MS,
    };
  }
}
