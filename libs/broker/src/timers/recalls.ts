/** Recalls that are remembered. */
const MAX_REMEMBERED = 100_000;

/**
 * Handles of the timers that were taken back, so that repeating a recall gets the same answer: whoever
 * asks again because the first answer was lost must not be told that the message is still to come.
 */
export class Recalls {
  private readonly handles = new Set<string>();

  add(handle: string): void {
    this.handles.add(handle);
    if (this.handles.size > MAX_REMEMBERED) this.handles.delete(this.handles.values().next().value!);
  }

  has(handle: string): boolean {
    return this.handles.has(handle);
  }

  /** A new timer has this handle: what became of an earlier one says nothing about it. */
  reused(handle: string): void {
    this.handles.delete(handle);
  }
}
