import type { Item } from './partition-work.js';

/**
 * What may be delivered next. Of the messages of one lane only the first one, until it is done with; those without a lane as
 * they come:
 *
 *     arrive  a1 b1 a2 c1      next: a1 b1 c1      a1 done → next: a2
 */
export class Lanes {
  private ready: Item[] = [];
  private readonly lanes = new Map<string, Item[]>();

  get isEmpty(): boolean {
    return this.ready.length === 0;
  }

  add(item: Item): void {
    if (item.lane === undefined) return void this.ready.push(item);
    const lane = this.lanes.get(item.lane);
    if (lane !== undefined) return void lane.push(item);
    this.lanes.set(item.lane, [item]);
    this.ready.push(item);
  }

  /** The same message once more; it is still the first of its lane. */
  again(item: Item): void {
    this.ready.push(item);
  }

  done({ lane: name }: Item): void {
    if (name === undefined) return;
    const lane = this.lanes.get(name);
    lane?.shift();
    const next = lane?.[0];
    if (next === undefined) this.lanes.delete(name);
    else this.ready.push(next);
  }

  /** Takes from the front, as long as `fits`. */
  take(max: number, fits: (item: Item) => boolean): Item[] {
    let count = 0;
    while (count < max && count < this.ready.length && fits(this.ready[count]!)) count++;
    return this.ready.splice(0, count);
  }

  clear(): void {
    this.ready = [];
    this.lanes.clear();
  }
}
