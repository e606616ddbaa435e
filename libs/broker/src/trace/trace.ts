import type { TraceEvent } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import { RECORD_HEADER_BYTES } from '../topics/record.js';

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
  /** Steps ever; the place of one is the number of those before it. */
  private added = 0;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(private readonly size: number) {
    this.hashes = new Uint32Array(size * 2);
    this.times = new Float64Array(size);
    this.steps = new Uint8Array(size);
    this.groups = new Array<string | undefined>(size).fill(undefined);
  }

  add(id: string, step: Step, atMs: number, group?: string, detail?: string): void {
    if (this.size === 0) return;
    hashText(id);
    this.put(stepNumber(step), atMs, group, detail);
  }

  /**
   * The same for the message whose record is at `position`: its id is hashed where it lies. For the steps that
   * every message goes through; hashing the string took 11 % of the broker's time. Returns the step's place.
   */
  addRecord(block: Block, position: number, step: number, atMs: number, group?: string): number {
    if (this.size === 0) return 0;
    hashTextAt(block.view, position - block.start + RECORD_HEADER_BYTES);
    return this.put(step, atMs, group, undefined);
  }

  /**
   * The same for a record that had a step at `place` not long ago: its hashes are taken from there. By the time
   * of an ack the record itself has long left the processor's cache.
   */
  addNext(place: number, block: Block, position: number, step: number, atMs: number, group: string): void {
    if (this.size === 0) return;
    if (this.added - place >= this.size) {
      this.addRecord(block, position, step, atMs, group);
      return;
    }
    const slot = place % this.size;
    hashed[0] = this.hashes[slot * 2]!;
    hashed[1] = this.hashes[slot * 2 + 1]!;
    this.put(step, atMs, group, undefined);
  }

  /** A step of the message whose id was hashed last. */
  private put(step: number, atMs: number, group: string | undefined, detail: string | undefined): number {
    const { next } = this;
    this.hashes[next * 2] = hashed[0]!;
    this.hashes[next * 2 + 1] = hashed[1]!;
    this.steps[next] = step;
    this.times[next] = atMs;
    if (this.groups[next] !== group) this.groups[next] = group;
    if (detail !== undefined) this.details.set(next, detail);
    else if (this.details.size > 0) this.details.delete(next);
    this.next = next + 1 === this.size ? 0 : next + 1;
    this.added += 1;
    return this.added - 1;
  }

  of(id: string): TraceEvent[] {
    const events: TraceEvent[] = [];
    hashText(id);
    const [first, second] = hashed;
    const count = Math.min(this.added, this.size);
    const oldest = this.added - count;
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

/** A step's number, for `addRecord`. */
export function stepNumber(step: Step): number {
  const known = numbers.get(step);
  if (known !== undefined) return known;
  numbers.set(step, STEPS.length);
  return STEPS.push(step) - 1;
}

/** What `hashTextAt` computed last: no array is made for every step. */
const hashed = new Uint32Array(2);

/**
 * Two hashes of the bytes from `at` up to the first zero, four bytes at a time: multiply and shift, twice over
 * with other constants. A record's id ends with a zero (see `topics/record.ts`).
 */
function hashTextAt(view: DataView, at: number): void {
  let first = 0x811c9dc5;
  let second = 0x9e3779b9;
  for (let place = at, zeros = 0; zeros === 0; place += 4) {
    let word = place + 4 <= view.byteLength ? view.getUint32(place, true) : lastWord(view, place);
    // The lowest bit that is set marks the first zero byte ("Determine if a word has a zero byte", Bit Twiddling Hacks).
    zeros = (word - 0x01010101) & ~word & 0x80808080;
    if (zeros !== 0) word &= ((zeros & -zeros) >>> 7) - 1;
    first = Math.imul(first ^ word, 0xcc9e2d51);
    first ^= first >>> 15;
    second = Math.imul(second ^ word, 0x85ebca6b);
    second ^= second >>> 13;
  }
  hashed[0] = first;
  hashed[1] = second;
}

/** The fewer than four bytes at the end, as if zeros followed. */
function lastWord(view: DataView, at: number): number {
  let word = 0;
  for (let i = 0; at + i < view.byteLength; i++) word |= view.getUint8(at + i) << (8 * i);
  return word;
}

/** The same for an id that is not in a record. */
function hashText(id: string): void {
  const bytes = Buffer.from(`${id}\0`);
  hashTextAt(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}
