import type { TraceEvent } from '#libs/messaging';

type Step = TraceEvent['step'];

/**
 * The last steps of all messages, in a ring: recording one is a few stores of numbers, asking looks at
 * all of them.
 *
 * An id is kept as two 32-bit hashes, 8 bytes: strings would outlive every young collection and be what
 * the collector works for. Two of 100,000 ids share both hashes once in four billion rings.
 */
export class Trace {
  private readonly hashes: Uint32Array;
  private readonly times: Float64Array;
  private readonly steps: Uint8Array;
  private readonly groups: (string | undefined)[];
  /** By place in the ring; few steps have one. */
  private readonly details = new Map<number, string>();
  private next = 0;
  private full = false;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(private readonly size: number) {
    this.hashes = new Uint32Array(size * 2);
    this.times = new Float64Array(size);
    this.steps = new Uint8Array(size);
    this.groups = new Array<string | undefined>(size).fill(undefined);
  }

  add(id: string, step: Step, atMs: number, group?: string, detail?: string): void {
    if (this.size === 0) return;
    const { next } = this;
    hash(id);
    this.hashes[next * 2] = hashed[0]!;
    this.hashes[next * 2 + 1] = hashed[1]!;
    this.steps[next] = numberOf(step);
    this.times[next] = atMs;
    if (this.groups[next] !== group) this.groups[next] = group;
    if (detail !== undefined) this.details.set(next, detail);
    else if (this.details.size > 0) this.details.delete(next);
    this.next = next + 1;
    if (this.next === this.size) {
      this.next = 0;
      this.full = true;
    }
  }

  of(id: string): TraceEvent[] {
    const events: TraceEvent[] = [];
    hash(id);
    const [first, second] = hashed;
    const count = this.full ? this.size : this.next;
    const oldest = this.full ? this.next : 0;
    for (let i = 0; i < count; i++) {
      const place = (oldest + i) % this.size;
      if (this.hashes[place * 2] !== first || this.hashes[place * 2 + 1] !== second) continue;
      const event: TraceEvent = { atMs: this.times[place]!, step: STEPS[this.steps[place]!]! };
      const [group, detail] = [this.groups[place], this.details.get(place)];
      if (group !== undefined) event.group = group;
      if (detail !== undefined) event.detail = detail;
      events.push(event);
    }
    return events;
  }
}

const STEPS: Step[] = [];
const numbers = new Map<Step, number>();

function numberOf(step: Step): number {
  const known = numbers.get(step);
  if (known !== undefined) return known;
  numbers.set(step, STEPS.length);
  return STEPS.push(step) - 1;
}

/** What `hash` computed last: no array is made for every step. */
const hashed = new Uint32Array(2);

/** FNV-1a, and the same from another start with another multiplier. */
function hash(text: string): void {
  let [first, second] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    first = Math.imul(first ^ unit, 0x01000193);
    second = Math.imul(second ^ unit, 0x85ebca6b) ^ (second >>> 15);
  }
  hashed[0] = first;
  hashed[1] = second;
}
