const BITS = 8;
const SLOTS = 1 << BITS;
/** 256 ms, 65 s, 4.6 h, 49 days, 34 years. */
const LEVELS = 5;
const NONE = -1;

/**
 * A hierarchical timing wheel (Varghese and Lauck, 1987; Kafka's purgatory uses one) of timers that are
 * numbers: the caller owns their due times, the wheel links them into lists by index.
 *
 * Level 0 has one slot for each of the next 256 milliseconds, level 1 one for each 256 ms of the next
 * 65 s, and so on. Inserting is a shift and a list push; when level 0 has gone round, the next slot
 * of level 1 is dealt out over level 0. A timer is moved at most four times in its life.
 *
 *     now = 1000.  add(7, due 1003) → level 0, slot 1003 % 256
 *                  add(8, due 9000) → level 1, slot (9000 >> 8) % 256; dealt to level 0 at 8960
 *
 * Costs 4 bytes a timer. `advance` skips over empty levels, so a long sleep costs little.
 */
export class TimingWheel {
  private readonly heads = new Int32Array(LEVELS * SLOTS).fill(NONE);
  private readonly counts = new Int32Array(LEVELS);
  private next = new Int32Array(1024);
  private current: number;

  constructor(
    nowMs: number,
    private readonly dueOf: (timer: number) => number,
  ) {
    this.current = Math.floor(nowMs);
  }

  get nowMs(): number {
    return this.current;
  }

  add(timer: number): void {
    if (timer >= this.next.length) {
      const grown = new Int32Array(Math.max(timer + 1, Math.ceil(this.next.length * 1.125)));
      grown.set(this.next);
      this.next = grown;
    }
    this.place(timer, this.current + 1);
  }

  private place(timer: number, earliest: number): void {
    const due = Math.max(Math.ceil(this.dueOf(timer)), earliest);
    let level = 0;
    // Compare slot numbers, not distances: a timer due when its level-1 slot begins belongs to level 0 by then.
    while (level < LEVELS - 1 && slotNumber(due, level) - slotNumber(this.current, level) >= SLOTS)
      level += 1;
    const farthest = slotNumber(this.current, level) + SLOTS - 1;
    const place = level * SLOTS + slotOf(Math.min(slotNumber(due, level), farthest));
    this.next[timer] = this.heads[place]!;
    this.heads[place] = timer;
    this.counts[level]! += 1;
  }

  /** Moves on to `nowMs` and calls `expired` for every timer that is due by then, in order of their millisecond but in any order within it. */
  advance(nowMs: number, expired: (timer: number) => void): void {
    const target = Math.floor(nowMs);
    while (this.current < target) {
      this.skipEmpty(target);
      if (this.current >= target) return;
      this.current += 1;
      for (let level = 1; level < LEVELS && Number.isInteger(this.current * PER_MS[level]!); level++)
        this.deal(level);
      this.expire(slotOf(this.current), expired);
    }
  }

  /** Jumps to just before the next slot that could hold something, at most to `target`. */
  private skipEmpty(target: number): void {
    let level = 0;
    while (level < LEVELS && this.counts[level] === 0) level += 1;
    if (level === 0) return;
    if (level === LEVELS) {
      this.current = target;
      return;
    }
    const width = 2 ** (BITS * level);
    const boundary = (Math.floor(this.current / width) + 1) * width;
    this.current = Math.min(target, boundary - 1);
  }

  private deal(level: number): void {
    const place = level * SLOTS + slotOf(slotNumber(this.current, level));
    let timer = this.heads[place]!;
    this.heads[place] = NONE;
    while (timer !== NONE) {
      const following = this.next[timer]!;
      this.counts[level]! -= 1;
      // Earliest now, not the next millisecond: the slot of this one is expired right after.
      this.place(timer, this.current);
      timer = following;
    }
  }

  private expire(slot: number, expired: (timer: number) => void): void {
    let timer = this.heads[slot]!;
    this.heads[slot] = NONE;
    while (timer !== NONE) {
      const following = this.next[timer]!;
      this.counts[0]! -= 1;
      expired(timer);
      timer = following;
    }
  }

  /** A time not later than the next expiry: that of the next slot in use, or when higher levels are dealt out. Undefined when nothing is pending. */
  soonest(): number | undefined {
    const isHigher = this.counts.some((count, level) => level > 0 && count > 0);
    const boundary = isHigher ? (Math.floor(this.current / SLOTS) + 1) * SLOTS : undefined;
    if (this.counts[0] === 0) return boundary;
    const last = boundary ?? this.current + SLOTS;
    for (let at = this.current + 1; at < last; at++) if (this.heads[slotOf(at)] !== NONE) return at;
    return last;
  }
}

/** One over the milliseconds of a slot, by level: powers of two, so multiplying by them is exact. */
const PER_MS = new Float64Array(LEVELS).map((_, level) => 2 ** (-BITS * level));

/** Due times exceed 32 bits: multiply, do not shift. */
const slotNumber = (ms: number, level: number): number => Math.floor(ms * PER_MS[level]!);

/** Its place in the round of its level: what `%` does, which is slow for numbers beyond 32 bits. */
const slotOf = (number: number): number => number - Math.floor(number / SLOTS) * SLOTS;
