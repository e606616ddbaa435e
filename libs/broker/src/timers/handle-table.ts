import { NumberColumn } from './number-column.js';

const NONE = -1;
/** Slots per bucket, on average. */
const LOAD = 2;
const FIRST_BUCKETS = 1024;

/**
 * Finds slots by hash, in 4 bytes a slot and 2 for the buckets. Linear hashing (Litwin, 1980): the table
 * grows by one bucket at a time, so ten million timers never wait until all of them have been hashed anew.
 *
 *     buckets 0 … 1023, then 0 is split into 0 and 1024, 1 into 1 and 1025, …
 *     a hash belongs to `hash % 2048` if that bucket is there, else to `hash % 1024`
 */
export class HandleTable {
  private readonly heads = new NumberColumn((length) => new Int32Array(length).fill(NONE));
  private readonly links = new NumberColumn((length) => new Int32Array(length).fill(NONE));
  private buckets = FIRST_BUCKETS;
  /** The power of two that `buckets` is on its way from. */
  private round = FIRST_BUCKETS;
  private size = 0;

  constructor(private readonly hashOf: (slot: number) => number) {}

  private bucketOf(hash: number): number {
    const mixed = mix(hash);
    const bucket = mixed & (this.round * 2 - 1);
    return bucket < this.buckets ? bucket : mixed & (this.round - 1);
  }

  add(slot: number): void {
    this.size += 1;
    if (this.size > this.buckets * LOAD) this.split();
    const bucket = this.bucketOf(this.hashOf(slot));
    this.links.set(slot, this.heads.get(bucket, NONE));
    this.heads.set(bucket, slot);
  }

  private split(): void {
    const from = this.buckets - this.round;
    this.buckets += 1;
    let slot = this.heads.get(from, NONE);
    this.heads.set(from, NONE);
    while (slot !== NONE) {
      const following = this.links.get(slot, NONE);
      const bucket = this.bucketOf(this.hashOf(slot));
      this.links.set(slot, this.heads.get(bucket, NONE));
      this.heads.set(bucket, slot);
      slot = following;
    }
    if (this.buckets === this.round * 2) this.round *= 2;
  }

  /** The first slot of the bucket that this hash belongs to, and from there with `after` the others; -1 at the end. */
  first(hash: number): number {
    return this.heads.get(this.bucketOf(hash), NONE);
  }

  after(slot: number): number {
    return this.links.get(slot, NONE);
  }

  remove(slot: number): void {
    const bucket = this.bucketOf(this.hashOf(slot));
    const following = this.links.get(slot, NONE);
    let at = this.heads.get(bucket, NONE);
    if (at === slot) this.heads.set(bucket, following);
    else {
      while (at !== NONE && this.links.get(at, NONE) !== slot) at = this.links.get(at, NONE);
      if (at === NONE) return;
      this.links.set(at, following);
    }
    this.size -= 1;
  }
}

/** Murmur3's finalizer: FNV's low bits are its weak ones. */
function mix(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
