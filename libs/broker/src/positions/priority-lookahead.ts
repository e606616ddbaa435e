/** How far a partition is read ahead for messages of higher priority. */
export const MAX_LOOKAHEAD = 1_024;
const LEVELS = 10;

/** `strict`: the highest level that has some; `weighted`: shares of the levels. */
export type Priorities = 'strict' | 'weighted';

/**
 * Offsets that were read ahead, by priority. Within a level the order of the log is kept. By weight, a level has
 * `priority + 1` turns, spread evenly (smooth weighted round robin, as nginx balances its upstreams), so that the
 * lowest one is never starved.
 *
 *     waiting: 9, 9, 9 and 0, 0, 0   weights 10 and 1
 *     taken:   9 9 9 0 0 0 ; were there more of 9, one in eleven would be a 0
 */
export class PriorityLookahead {
  private readonly levels: number[][] = Array.from({ length: LEVELS }, () => []);
  private readonly credit = new Float64Array(LEVELS);
  size = 0;

  add(offset: number, priority: number): void {
    this.levels[Math.min(priority, LEVELS - 1)]!.push(offset);
    this.size += 1;
  }

  /** The highest level that has some; -1 when nothing waits. */
  get top(): number {
    return this.levels.findLastIndex((offsets) => offsets.length > 0);
  }

  /** The offset whose turn it is; undefined when nothing waits. */
  take(by: Priorities): number | undefined {
    const chosen = by === 'strict' ? this.top : this.nextByWeight();
    if (chosen < 0) return undefined;
    this.size -= 1;
    return this.levels[chosen]!.shift();
  }

  private nextByWeight(): number {
    let chosen = -1;
    let total = 0;
    for (let level = 0; level < LEVELS; level++) {
      if (this.levels[level]!.length === 0) continue;
      this.credit[level]! += level + 1;
      total += level + 1;
      if (chosen < 0 || this.credit[level]! > this.credit[chosen]!) chosen = level;
    }
    if (chosen >= 0) this.credit[chosen]! -= total;
    return chosen;
  }

  /** Gives back what could not be delivered now. */
  putBack(offset: number, priority: number): void {
    this.levels[Math.min(priority, LEVELS - 1)]!.unshift(offset);
    this.size += 1;
  }

  /** Forgets what lies before `start`. */
  dropBefore(start: number): void {
    this.size = 0;
    for (const [level, offsets] of this.levels.entries()) {
      this.levels[level] = offsets.filter((offset) => offset >= start);
      this.size += this.levels[level].length;
    }
  }

  clear(): void {
    for (const level of this.levels) level.length = 0;
    this.credit.fill(0);
    this.size = 0;
  }
}
