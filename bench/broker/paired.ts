import { median } from './benchmark.js';

/** CPU of the two sides in the same turn. */
export type Pair = { one: number; other: number };
/** By how many percent the one takes more than the other: the median of all pairs, and its 95 % interval. */
export type Difference = { percent: number; lowPercent: number; highPercent: number };

const RESAMPLES = 1_000;

/**
 * Compares by the ratios of pairs, so that whatever slows the machine for longer than a turn falls out. The interval is
 * a bootstrap over whole rounds: pairs of one round share brokers, and so their places in memory.
 */
export function differenceOf(rounds: readonly (readonly Pair[])[]): Difference {
  const ratios = rounds.map((pairs) => pairs.map(({ one, other }) => one / other));
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.flatMap(() => ratios[Math.floor(Math.random() * ratios.length)] ?? [])),
  ).sort((a, b) => a - b);
  const percentAt = (share: number): number => percent(medians[Math.floor(share * RESAMPLES)] ?? NaN);
  return {
    percent: percent(median(ratios.flat())),
    lowPercent: percentAt(0.025),
    highPercent: percentAt(0.975),
  };
}

const percent = (ratio: number): number => (ratio - 1) * 100;
