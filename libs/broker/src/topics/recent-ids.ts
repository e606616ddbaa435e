/**
 * Ids of recently stored messages, so that a repeated send is stored once.
 *
 * Only a 32-bit hash and the record's journal position are kept, 12 bytes an id in open-addressed
 * tables outside of the heap; whoever finds a candidate compares the id in the record itself.
 * Two generations: when the young one is full or as old as the window, it becomes the old one and the
 * former old one is forgotten. An id is therefore remembered for one to two windows, unless more
 * than `maxIds` came meanwhile.
 */
export class RecentIds {
  private young: Generation;
  private old = new Generation(16);

  constructor(
    private readonly windowMs: number,
    private readonly maxIds: number,
    nowMs: number,
  ) {
    this.young = new Generation(nowMs);
  }

  add(hash: number, position: number, nowMs: number): void {
    if (this.young.count >= this.maxIds / 2 || nowMs - this.young.sinceMs >= this.windowMs) {
      this.old = this.young;
      this.young = new Generation(nowMs);
    }
    this.young.add(hash, position);
  }

  /** Positions of records that may carry an id with this hash, newest generation first. */
  candidates(hash: number): number[] | undefined {
    const young = this.young.find(hash, undefined);
    return this.old.count === 0 ? young : this.old.find(hash, young);
  }
}

class Generation {
  count = 0;
  private hashes = new Uint32Array(1024);
  private positions = new Float64Array(1024);
  private mask = 1023;

  constructor(readonly sinceMs: number) {}

  add(hash: number, position: number): void {
    if (this.count * 2 >= this.mask) this.grow();
    this.put(hash, position);
    this.count += 1;
  }

  private put(hash: number, position: number): void {
    let slot = hash & this.mask;
    while (this.positions[slot] !== 0) slot = (slot + 1) & this.mask;
    this.hashes[slot] = hash;
    this.positions[slot] = position;
  }

  private grow(): void {
    const { hashes, positions } = this;
    this.mask = this.mask * 2 + 1;
    this.hashes = new Uint32Array(this.mask + 1);
    this.positions = new Float64Array(this.mask + 1);
    for (let slot = 0; slot < positions.length; slot++) {
      if (positions[slot] !== 0) this.put(hashes[slot]!, positions[slot]!);
    }
  }

  find(hash: number, found: number[] | undefined): number[] | undefined {
    for (let slot = hash & this.mask; this.positions[slot] !== 0; slot = (slot + 1) & this.mask) {
      if (this.hashes[slot] === hash) (found ??= []).push(this.positions[slot]!);
    }
    return found;
  }
}
