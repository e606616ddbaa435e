/**
 * How far ahead of its lowest unsettled message a group may go in one partition. Delivery stops at the
 * bound, so that what a group remembers of a partition is at most this many bytes.
 */
export const MAX_SETTLED_AHEAD = 65_536;

/**
 * Which offsets of a partition a group is done with.
 *
 *     committed = 7            everything before 7 is settled, 7 is not
 *     settled ahead: 9, 10     → committed stays 7; settling 7 makes it 8; settling 8 makes it 11
 */
export class SettledWindow {
  /** The lowest offset that is not settled. */
  committed: number;
  /** Settled offsets above `committed`. */
  ahead = 0;
  /** A ring, one byte an offset at `offset % length`; grows up to the bound. */
  private ring = new Uint8Array(64);

  constructor(committed: number) {
    this.committed = committed;
  }

  isSettled(offset: number): boolean {
    return (
      offset < this.committed ||
      (offset < this.committed + this.ring.length && this.ring[offset % this.ring.length] === 1)
    );
  }

  /** Whether a message at `offset` may be delivered without breaking the bound. */
  hasRoomFor(offset: number): boolean {
    return offset - this.committed < MAX_SETTLED_AHEAD;
  }

  /** False when it was settled already. */
  settle(offset: number): boolean {
    if (this.isSettled(offset)) return false;
    if (offset !== this.committed) {
      if (offset - this.committed >= this.ring.length) this.grow(offset - this.committed + 1);
      this.ring[offset % this.ring.length] = 1;
      this.ahead += 1;
      return true;
    }
    const { ring } = this;
    let next = offset + 1;
    while (this.ahead > 0 && ring[next % ring.length] === 1) {
      ring[next % ring.length] = 0;
      this.ahead -= 1;
      next += 1;
    }
    this.committed = next;
    return true;
  }

  private grow(needed: number): void {
    let length = this.ring.length;
    while (length < needed) length *= 2;
    const grown = new Uint8Array(length);
    for (let offset = this.committed; offset < this.committed + this.ring.length; offset++) {
      grown[offset % length] = this.ring[offset % this.ring.length]!;
    }
    this.ring = grown;
  }

  /** Settled offsets above `committed` as `[first, count]` pairs. */
  runs(): [number, number][] {
    const runs: [number, number][] = [];
    let left = this.ahead;
    for (let offset = this.committed + 1; left > 0; offset++) {
      if (this.ring[offset % this.ring.length] !== 1) continue;
      left -= 1;
      const last = runs.at(-1);
      if (last && last[0] + last[1] === offset) last[1] += 1;
      else runs.push([offset, 1]);
    }
    return runs;
  }
}
