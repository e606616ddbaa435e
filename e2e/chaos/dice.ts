import { seededRandom } from '../load/schedule.js';

/** Draws that are the same for the same seed. */
export type Dice = {
  /** From 0 to 1. */
  random: () => number;
  /** A whole number, both ends included. */
  between: (range: readonly [number, number]) => number;
  oneOf: <Item>(items: readonly Item[]) => Item;
};

export function diceOf(seed: number): Dice {
  const random = seededRandom(seed);
  return {
    random,
    between: ([low, high]) => Math.round(low + random() * (high - low)),
    oneOf: (items) => {
      const item = items[Math.floor(random() * items.length)];
      if (item === undefined) throw new Error('nothing to choose from');
      return item;
    },
  };
}

/** Moments that have nothing to do with what goes on: gaps of a Poisson process, none shorter than `minGapMs`. */
export function* moments(
  { random }: Dice,
  { fromMs, untilMs, minGapMs, meanGapMs }: Record<'fromMs' | 'untilMs' | 'minGapMs' | 'meanGapMs', number>,
): Generator<number> {
  for (let atMs = fromMs; ;) {
    atMs += Math.round(minGapMs - Math.log(1 - random()) * (meanGapMs - minGapMs));
    if (atMs >= untilMs) return;
    yield atMs;
  }
}
