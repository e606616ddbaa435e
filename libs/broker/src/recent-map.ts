/**
 * Remembers at least the newest `least` keys, and at most twice as many.
 *
 * Two generations: when the young one is full it becomes the old one, and the former old one is forgotten as a
 * whole. (A `Map` that forgets its first key with every new one would step over all deleted ones to find
 * it: in V8 they stay in the table until it is hashed anew.)
 */
export class RecentMap<Key, Value extends NonNullable<unknown>> {
  private young = new Map<Key, Value>();
  private old = new Map<Key, Value>();

  constructor(private readonly least: number) {}

  get isEmpty(): boolean {
    return this.young.size === 0 && this.old.size === 0;
  }

  set(key: Key, value: Value): void {
    this.delete(key);
    this.young.set(key, value);
    if (this.young.size < this.least) return;
    this.old = this.young;
    this.young = new Map();
  }

  get(key: Key): Value | undefined {
    return this.young.get(key) ?? this.old.get(key);
  }

  delete(key: Key): void {
    this.young.delete(key);
    this.old.delete(key);
  }

  /** The newest `count`, oldest first. */
  newest(count: number): [Key, Value][] {
    return [...this.old, ...this.young].slice(-count);
  }
}
