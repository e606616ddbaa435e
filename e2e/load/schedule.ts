/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * When each buyer is due, in milliseconds from the start, in order: a Poisson process, because people come
 * independently of each other and in clumps, and clumps are what breaks a shop.
 */
export function arrivalsMs(buyers: number, ratePerSecond: number, random: () => number): Float64Array {
  const due = new Float64Array(buyers);
  let atMs = 0;
  for (let buyer = 0; buyer < buyers; buyer += 1) {
    due[buyer] = atMs;
    atMs += (-Math.log(1 - random()) / ratePerSecond) * 1_000;
  }
  return due;
}

/**
 * Calls `arrive` for every buyer when it is due and does not wait for it: a slow answer does not hold up the
 * next buyer. Resolves when the last has arrived.
 */
export async function openLoop(
  dueMs: Float64Array,
  clock: () => number,
  arrive: (buyer: number) => void,
): Promise<void> {
  const startedAt = clock();
  for (let next = 0; next < dueMs.length;) {
    const elapsedMs = clock() - startedAt;
    while (next < dueMs.length && (dueMs[next] ?? 0) <= elapsedMs) arrive(next++);
    // Answers are read between two rounds; a timer of 0 still waits for about a millisecond.
    const untilNextMs = (dueMs[next] ?? 0) - elapsedMs;
    await new Promise<void>((resolve) => {
      if (untilNextMs < 1) setImmediate(resolve);
      else setTimeout(resolve, untilNextMs);
    });
  }
}
