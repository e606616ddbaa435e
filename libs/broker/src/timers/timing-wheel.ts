import { NumberColumn } from './number-column.js';

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
 * 65 s, and so on. Inserting is a shift and an append to a list; when level 0 has gone round, the next slot
 * of level 1 is dealt out over level 0. A timer is moved at most four times in its life. Lists keep their
 * order when they are dealt out: timers of one millisecond expire as they were added, first come, first served.
 *
 *     now = 1000.  add(7, due 1003) → level 0, slot 1003 % 256
 *                  add(8, due 9000) → level 1, slot (9000 >> 8) % 256; dealt to level 0 at 8960
 *
 * Costs 4 bytes a timer. `advance` skips over what is empty, so a long sleep costs little.
 */
export class TimingWheel {
  private readonly heads = new Int32Array(LEVELS * SLOTS).fill(NONE);
  /** The last timer of each list; means nothing where the list is empty. */
  private readonly tails = new Int32Array(LEVELS * SLOTS);
  private readonly counts = new Int32Array(LEVELS);
  private readonly next = new NumberColumn((length) => new Int32Array(length));
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
    this.next.set(timer, NONE);
    if (this.heads[place] === NONE) this.heads[place] = timer;
    else this.next.set(this.tails[place]!, timer);
    this.tails[place] = timer;
    this.counts[level]! += 1;
  }

  /**
   * Moves on to `nowMs` and calls `expired` for every timer that is due by then, in order of their milliseconds.
   * Stops before, at the end of the millisecond in which `limit` of them have expired.
   */
  advance(nowMs: number, expired: (timer: number) => void, limit = Infinity): void {
    const target = Math.floor(nowMs);
    for (let left = limit; left > 0 && this.current < target;) {
      this.skipEmpty(target);
      if (this.current >= target) return;
      this.current += 1;
      for (let level = 1; level < LEVELS && Number.isInteger(this.current * PER_MS[level]!); level++)
        this.deal(level);
      left -= this.expire(slotOf(this.current), expired);
    }
  }

  /** Jumps to just before the next slot that could hold something, at most to `target`. */
  private skipEmpty(target: number): void {
    let level = 0;
    while (level < LEVELS && this.counts[level] === 0) level += 1;
    if (level === LEVELS) {
      this.current = target;
      return;
    }
    // A slot of level 0 is a millisecond: those before the boundary are looked at one by one.
    const width = 2 ** (BITS * Math.max(1, level));
    const boundary = (Math.floor(this.current / width) + 1) * width;
    let last = boundary - 1;
    if (level === 0) {
      const first = slotOf(this.current) + 1;
      let slot = first;
      while (slot < SLOTS && this.heads[slot] === NONE) slot += 1;
      last = this.current + slot - first;
    }
    this.current = Math.min(target, last);
  }

  private deal(level: number): void {
    const place = level * SLOTS + slotOf(slotNumber(this.current, level));
    let timer = this.heads[place]!;
    this.heads[place] = NONE;
    while (timer !== NONE) {
      const following = this.next.get(timer);
      this.counts[level]! -= 1;
      // Earliest now, not the next millisecond: the slot of this one is expired right after.
      this.place(timer, this.current);
      timer = following;
    }
  }

  private expire(slot: number, expired: (timer: number) => void): number {
    let timer = this.heads[slot]!;
    this.heads[slot] = NONE;
    let count = 0;
    for (; timer !== NONE; count++) {
      const following = this.next.get(timer);
      expired(timer);
      timer = following;
    }
    this.counts[0]! -= count;
    return count;
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

  /** The lowest due time of all timers that `counts`; of each level only the first slot with such a timer is looked at. */
  earliest(counts: (timer: number) => boolean): number | undefined {
    let earliest = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const now = slotNumber(this.current, level);
      for (let number = now + 1; number < now + SLOTS; number++) {
        // Nothing in this slot or behind it is due sooner.
        if (number * 2 ** (BITS * level) >= earliest) break;
        const before = earliest;
        for (
          let timer = this.heads[level * SLOTS + slotOf(number)]!;
          timer !== NONE;
          timer = this.next.get(timer)
        )
          if (counts(timer)) earliest = Math.min(earliest, this.dueOf(timer));
        if (earliest < before) break;
      }
    }
    return earliest === Infinity ? undefined : earliest;
  }
}

/** One over the milliseconds of a slot, by level: powers of two, so multiplying by them is exact. */
const PER_MS = new Float64Array(LEVELS).map((_, level) => 2 ** (-BITS * level));

/** Due times exceed 32 bits: multiply, do not shift. */
const slotNumber = (ms: number, level: number): number => Math.floor(ms * PER_MS[level]!);

/** Its place in the round of its level: what `%` does, which is slow for numbers beyond 32 bits. */
const slotOf = (number: number): number => number - Math.floor(number / SLOTS) * SLOTS;
