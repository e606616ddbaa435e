/** How far ahead of its base a partition's ring goes: one byte an offset, so at most this many bytes. */
const MAX_RING = 65_536;
/**
 * Unsettled messages of a partition that a group may leave behind its ring: those that are held back, and those that
 * wait behind them. At the bound delivery stops until one of them is settled.
 */
export const MAX_STRAGGLERS = 65_536;

/**
 * Which offsets of a partition a group is done with.
 *
 *     committed = 7            everything before 7 is settled, 7 is not
 *     settled ahead: 9, 10     → committed stays 7; settling 7 makes it 8; settling 8 makes it 11
 *
 * Near the front that is a ring. Where messages go on while one of them stays behind (a key that blocks, a slow
 * handler), the ring moves on and the one becomes a straggler, so that the others need not wait for it:
 *
 *     ring of 4, 7 stays behind    base 7: [7 8✓ 9✓ 10✓]
 *     11 is settled                stragglers {7}, base 12: committed stays 7, and 5 are settled ahead of it
 */
export class SettledWindow {
  /** Everything before it is settled, apart from the stragglers. */
  private base: number;
  /** Settled offsets above `base`. */
  private aheadOfBase = 0;
  /** A ring, one byte an offset at `offset % length`; grows up to the bound. */
  private ring = new Uint8Array(64);
  /** Unsettled offsets below `base`, lowest first: they come in that order, and a set keeps it. */
  private readonly stragglers = new Set<number>();

  constructor(committed: number) {
    this.base = committed;
  }

  /** The lowest offset that is not settled. */
  get committed(): number {
    if (this.stragglers.size === 0) return this.base;
    return this.stragglers.values().next().value!;
  }

  /** Settled offsets above `committed`. */
  get ahead(): number {
    if (this.stragglers.size === 0) return this.aheadOfBase;
    return this.base - this.committed - this.stragglers.size + this.aheadOfBase;
  }

  isSettled(offset: number): boolean {
    if (offset < this.base) return this.stragglers.size === 0 || !this.stragglers.has(offset);
    return offset < this.base + this.ring.length && this.ring[offset % this.ring.length] === 1;
  }

  /** Whether a message at `offset` may be delivered without breaking the bounds. */
  hasRoomFor(offset: number): boolean {
    return offset - this.base < MAX_RING || this.stragglers.size < MAX_STRAGGLERS;
  }

  /** False when it was settled already. */
  settle(offset: number): boolean {
    if (this.isSettled(offset)) return false;
    if (offset < this.base) return this.stragglers.delete(offset);
    if (offset !== this.base) {
      if (offset - this.base >= this.ring.length) this.reach(offset);
      // The ring may have moved up to it.
      if (offset !== this.base) {
        this.ring[offset % this.ring.length] = 1;
        this.aheadOfBase += 1;
        return true;
      }
    }
    this.base = this.pastSettled(offset + 1);
    return true;
  }

  /** The first offset from `from` on that is not settled; the ring forgets those before it. */
  private pastSettled(from: number): number {
    const { ring } = this;
    let next = from;
    while (this.aheadOfBase > 0 && ring[next % ring.length] === 1) {
      ring[next % ring.length] = 0;
      this.aheadOfBase -= 1;
      next += 1;
    }
    return next;
  }

  /** Makes room in the ring for `offset`: it grows, and at its bound moves on. */
  private reach(offset: number): void {
    const needed = offset - this.base + 1;
    if (needed <= MAX_RING) return this.grow(needed);
    if (this.ring.length < MAX_RING) this.grow(MAX_RING);
    while (offset - this.base >= MAX_RING) {
      this.stragglers.add(this.base);
      this.base = this.pastSettled(this.base + 1);
    }
  }

  private grow(needed: number): void {
    let length = this.ring.length;
    while (length < needed) length *= 2;
    const grown = new Uint8Array(length);
    for (let offset = this.base; offset < this.base + this.ring.length; offset++) {
      grown[offset % length] = this.ring[offset % this.ring.length]!;
    }
    this.ring = grown;
  }

  /** Settled offsets above `committed` as `[first, count]` pairs. */
  runs(): [number, number][] {
    const runs: [number, number][] = [];
    let settledFrom = this.committed;
    const unsettled = (offset: number): void => {
      if (offset > settledFrom) runs.push([settledFrom, offset - settledFrom]);
      settledFrom = offset + 1;
    };
    for (const offset of this.stragglers) unsettled(offset);
    let left = this.aheadOfBase;
    for (let offset = this.base; left > 0; offset++) {
      if (this.ring[offset % this.ring.length] === 1) left -= 1;
      else unsettled(offset);
      if (left === 0) unsettled(offset + 1);
    }
    if (this.aheadOfBase === 0 && this.stragglers.size > 0) unsettled(this.base);
    return runs;
  }
}
