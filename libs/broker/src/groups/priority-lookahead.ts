/** How far a partition is read ahead for messages of higher priority. */
export const MAX_LOOKAHEAD = 1_024;
const LEVELS = 10;

/**
 * Offsets that were read ahead, by priority. Levels share by weight rather than strictly: of a level's `priority + 1`
 * turns, spread evenly (smooth weighted round robin, as nginx balances its upstreams), so that the
 * lowest one is never starved. Within a level the order of the log is kept.
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

  /** The offset whose turn it is; undefined when nothing waits. */
  take(): number | undefined {
    let chosen = -1;
    let total = 0;
    for (let level = 0; level < LEVELS; level++) {
      if (this.levels[level]!.length === 0) continue;
      this.credit[level]! += level + 1;
      total += level + 1;
      if (chosen < 0 || this.credit[level]! > this.credit[chosen]!) chosen = level;
    }
    if (chosen < 0) return undefined;
    this.credit[chosen]! -= total;
    this.size -= 1;
    return this.levels[chosen]!.shift();
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
