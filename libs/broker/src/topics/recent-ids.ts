/**
 * Ids of recently stored messages, so that a repeated send is stored once.
 *
 * Only a 32-bit hash and the record's journal position are kept, 12 bytes an id in open-addressed
 * tables outside of the heap; whoever finds a candidate compares the id in the record itself.
 * Two generations: when the young one is full or as old as the window, it becomes the old one and the
 * former old one is forgotten. An id is therefore remembered for one to two windows, unless more
 * than half of `maxIds` came meanwhile.
 */
export class RecentIds {
  private young: Generation;
  private old: Generation;
  private replayed: NewestIds | undefined;

  constructor(
    private readonly windowMs: number,
    private readonly maxIds: number,
    nowMs: number,
  ) {
    this.young = new Generation(nowMs);
    this.old = new Generation(nowMs);
    this.replayed = new NewestIds(Math.max(1, maxIds));
  }

  add(hash: number, position: number, nowMs: number): void {
    if (this.replayed) return this.replayed.add(hash, position);
    if (this.young.count >= this.maxIds / 2 || nowMs - this.young.sinceMs >= this.windowMs) {
      const forgotten = this.old;
      this.old = this.young;
      this.young = new Generation(nowMs, this.old.count, forgotten);
    }
    this.young.add(hash, position);
  }

  /** From now on ids are found. Before it, while the journal is replayed, they are only noted: most will have been displaced by its end. */
  start(nowMs: number): void {
    const { replayed } = this;
    this.replayed = undefined;
    this.young = new Generation(nowMs, Math.min(replayed?.size ?? 0, this.maxIds / 2));
    replayed?.forEach((hash, position) => this.add(hash, position, nowMs));
  }

  /** Positions of records that may carry an id with this hash, newest generation first. */
  candidates(hash: number): number[] | undefined {
    const young = this.young.find(hash, undefined);
    return this.old.count === 0 ? young : this.old.find(hash, young);
  }
}

/** The newest `max` of many ids: a ring once it is full. */
class NewestIds {
  private hashes = new Uint32Array(1024);
  private positions = new Float64Array(1024);
  private added = 0;

  constructor(private readonly max: number) {}

  add(hash: number, position: number): void {
    const { length } = this.hashes;
    if (this.added === length && length < this.max) this.grow();
    const slot = this.added % this.hashes.length;
    this.hashes[slot] = hash;
    this.positions[slot] = position;
    this.added += 1;
  }

  private grow(): void {
    const { hashes, positions } = this;
    const length = Math.min(this.max, hashes.length * 2);
    this.hashes = new Uint32Array(length);
    this.positions = new Float64Array(length);
    this.hashes.set(hashes);
    this.positions.set(positions);
  }

  get size(): number {
    return Math.min(this.added, this.hashes.length);
  }

  /** Oldest first. */
  forEach(visit: (hash: number, position: number) => void): void {
    for (let place = this.added - this.size; place < this.added; place++) {
      const slot = place % this.hashes.length;
      visit(this.hashes[slot]!, this.positions[slot]!);
    }
  }
}

class Generation {
  count = 0;
  private hashes: Uint32Array;
  private positions: Float64Array;
  private mask: number;

  /**
   * `expected`: so many ids fit without growing. If they fit as well into the tables of a generation that is
   * `forgotten`, those are used again: 12 MB every few seconds of a busy broker would wait for the collector.
   */
  constructor(
    readonly sinceMs: number,
    expected = 0,
    forgotten?: Generation,
  ) {
    const slots = Math.max(1024, 2 ** Math.ceil(Math.log2(expected * 2 + 2)));
    const again = forgotten?.positions.length === slots ? forgotten : undefined;
    this.hashes = again?.hashes ?? new Uint32Array(slots);
    this.positions = again?.positions.fill(0) ?? new Float64Array(slots);
    this.mask = slots - 1;
  }

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
