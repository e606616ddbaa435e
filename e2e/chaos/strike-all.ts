import { setTimeout as wait } from 'node:timers/promises';

/** What is done to whom, and when, in milliseconds from the start of the run. */
export type Planned = { atMs: number; victim: string };

export type Striking<Strike extends Planned> = {
  planned: readonly Strike[];
  durationMs: number;
  /** Does one strike and what follows it; resolves when the victim is well again. */
  strike: (strike: Strike) => Promise<void>;
  /** Asked before each strike: whether something has gone wrong that makes the rest pointless. */
  isOver?: () => boolean;
};

/**
 * Strikes when it is due, for the whole duration. Different victims may well be down together. Who is still
 * down when its next strike is due is spared that one: a process that is struck again whenever it has come up
 * would do no work. Answers what was done.
 */
export async function strikeAll<Strike extends Planned>({
  planned,
  durationMs,
  strike,
  isOver = () => false,
}: Striking<Strike>): Promise<Strike[]> {
  const beganAt = performance.now();
  const untilMs = (atMs: number): Promise<void> => wait(Math.max(0, atMs - (performance.now() - beganAt)));
  const busy = new Map<string, Promise<void>>();
  const done: Strike[] = [];
  let failure: Error | undefined;
  for (const next of planned) {
    await untilMs(next.atMs);
    if (failure !== undefined || isOver()) break;
    if (busy.has(next.victim)) continue;
    done.push(next);
    const struck = strike(next).then(() => void busy.delete(next.victim));
    struck.catch((error: Error) => (failure = error));
    busy.set(next.victim, struck);
  }
  if (failure === undefined && !isOver()) await untilMs(durationMs);
  await Promise.all(busy.values());
  return done;
}
