import { RecentMap } from '../engine/recent-map.js';

/** So many recalls at least are remembered. */
const REMEMBERED_RECALLS = 100_000;

/**
 * Handles of the timers that were taken back, so that repeating a recall gets the same answer: whoever
 * asks again because the first answer was lost must not be told that the message is still to come.
 */
export class Recalls {
  private readonly handles = new RecentMap<string, true>(REMEMBERED_RECALLS);

  add(handle: string): void {
    this.handles.set(handle, true);
  }

  has(handle: string): boolean {
    return this.handles.get(handle) === true;
  }

  /** A new timer has this handle: what became of an earlier one says nothing about it. */
  reused(handle: string): void {
    this.handles.delete(handle);
  }

  /** For a snapshot: the newest ones, oldest first. */
  newest(count: number): string[] {
    return this.handles.newest(count).map(([handle]) => handle);
  }
}
