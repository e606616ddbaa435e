import { diceOf, moments } from '../dice.js';

export type Victim = 'broker' | `producer-${number}` | `consumer-${number}`;
/**
 * `kill`: SIGKILL, and a new process `downMs` later. `kill-in-recovery`: that, and once more `againMs` after
 * the new process was started. `pause`: SIGSTOP for `downMs`, so that leases and heartbeats run out.
 */
export type Strike =
  | { atMs: number; victim: Victim; how: 'kill'; downMs: number }
  | { atMs: number; victim: Victim; how: 'kill-in-recovery'; downMs: number; againMs: number }
  | { atMs: number; victim: Victim; how: 'pause'; downMs: number };

export type NemesisOptions = { seed: number; durationMs: number; producers: number; consumers: number };

const MEAN_GAP_MS = 2_500;
const MIN_GAP_MS = 300;
/** Paused for longer than a lease, and not so long that the run is about nothing else. */
const PAUSE_MS = [3_500, 6_000] as const;
const DOWN_MS = [0, 1_500] as const;
/** A kill of the broker, of a producer and of a consumer. */
const FIRST_DICE = [0, 0.9, 0.5];

/** Who is struck when: the same for the same seed, at moments that have nothing to do with what goes on. */
export function planStrikes({ seed, durationMs, producers, consumers }: NemesisOptions): Strike[] {
  const dice = diceOf(seed);
  const { random, between } = dice;
  const strikes: Strike[] = [];
  const gaps = { fromMs: 1_000, untilMs: durationMs, minGapMs: MIN_GAP_MS, meanGapMs: MEAN_GAP_MS };
  for (const atMs of moments(dice, gaps)) {
    // Even the shortest run strikes everybody: the first three are one of each.
    const roll = strikes.length < FIRST_DICE.length ? (FIRST_DICE[strikes.length] ?? 0) : random();
    const consumer: Victim = `consumer-${between([1, consumers])}`;
    const producer: Victim = `producer-${between([1, producers])}`;
    const downMs = between(DOWN_MS);
    if (roll < 0.35) strikes.push({ atMs, victim: 'broker', how: 'kill', downMs });
    else if (roll < 0.45)
      strikes.push({ atMs, victim: 'broker', how: 'kill-in-recovery', downMs, againMs: between([100, 900]) });
    else if (roll < 0.68) strikes.push({ atMs, victim: consumer, how: 'kill', downMs });
    else if (roll < 0.75) strikes.push({ atMs, victim: consumer, how: 'pause', downMs: between(PAUSE_MS) });
    else strikes.push({ atMs, victim: producer, how: 'kill', downMs });
  }
  return strikes;
}
