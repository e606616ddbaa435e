import type { TraceEvent } from '#libs/messaging/port';

type Step = TraceEvent['step'];

/** In the place of a record's position: the step is one of those that name their message themselves. */
const NAMED = -1;

/**
 * The last steps of all messages, in a ring: recording one is three stores of numbers, asking looks at all of them.
 *
 * A step knows its message by the position of the record, which costs nothing to know; whoever asks reads the ids there
 * (see `trace-by-id.ts`). Hashing every id took 5 % of a send, and a string for each step would outlive every young
 * collection and be what the collector works for.
 */
export class Trace {
  /** Of each step the position of the record, then the time. */
  private readonly places: Float64Array;
  /** Of each step its number, and above it that of the group. */
  private readonly steps: Uint32Array;
  private readonly groups = new GroupNumbers();
  /** By place in the ring. */
  private readonly named = new Map<number, { id: string; detail: string | undefined }>();
  private next = 0;
  private isFull = false;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(private readonly size: number) {
    this.places = new Float64Array(size * 2);
    this.steps = new Uint32Array(size);
  }

  /** A step of the message whose record is at `position`: for those that every message goes through. */
  addRecord(position: number, step: number, atMs: number, group?: string): void {
    if (this.size > 0) this.put(position, step, atMs, group);
  }

  /** A step of a message whose record is not at hand, or that there is more to say about. */
  add(id: string, step: Step, atMs: number, group?: string, detail?: string): void {
    if (this.size > 0) this.named.set(this.put(NAMED, stepNumber(step), atMs, group), { id, detail });
  }

  /** Returns its place in the ring. */
  private put(position: number, step: number, atMs: number, group: string | undefined): number {
    const place = this.next;
    if (this.places[place * 2] === NAMED) this.named.delete(place);
    this.places[place * 2] = position;
    this.places[place * 2 + 1] = atMs;
    this.steps[place] = step | (this.groups.numberOf(group) << STEP_BITS);
    this.next = place + 1;
    if (this.next === this.size) {
      this.next = 0;
      this.isFull = true;
    }
    return place;
  }

  /** Where the records are that steps are remembered of, ascending; some more than once. */
  recordPositions(): Float64Array {
    const count = this.isFull ? this.size : this.next;
    const positions = this.places
      .subarray(0, count * 2)
      .filter((position, i) => i % 2 === 0 && position !== NAMED);
    return positions.sort();
  }

  /** The steps of these messages by their ids, each message's in order. `idAt`: their records' positions. */
  of(ids: ReadonlySet<string>, idAt: ReadonlyMap<number, string>): Map<string, TraceEvent[]> {
    const found = new Map<string, TraceEvent[]>([...ids].map((id) => [id, []]));
    const count = this.isFull ? this.size : this.next;
    for (let i = 0; i < count; i++) {
      const place = this.isFull ? (this.next + i) % this.size : i;
      const position = this.places[place * 2]!;
      const named = position === NAMED ? this.named.get(place) : undefined;
      const id = named ? named.id : idAt.get(position);
      if (id === undefined) continue;
      const what = this.steps[place]!;
      const event: TraceEvent = { atMs: this.places[place * 2 + 1]!, step: STEPS[what & STEP_MASK]! };
      const group = this.groups.nameOf(what >>> STEP_BITS);
      if (group !== undefined) event.group = group;
      if (named?.detail !== undefined) event.detail = named.detail;
      found.get(id)?.push(event);
    }
    return found;
  }
}

/** Numbers for names, from 1; 0 is none. Kept for as many names as groups ever had in this run. */
class GroupNumbers {
  private readonly names: (string | undefined)[] = [undefined];
  private readonly numbers = new Map<string, number>();
  /** Steps of one group come in a row. */
  private lastName: string | undefined;
  private lastNumber = 0;

  numberOf(name: string | undefined): number {
    if (name === undefined) return 0;
    if (name === this.lastName) return this.lastNumber;
    let number = this.numbers.get(name);
    if (number === undefined) {
      number = this.names.push(name) - 1;
      this.numbers.set(name, number);
    }
    this.lastName = name;
    this.lastNumber = number;
    return number;
  }

  nameOf(number: number): string | undefined {
    return this.names[number];
  }
}

const STEP_BITS = 8;
const STEP_MASK = 2 ** STEP_BITS - 1;
const STEPS: Step[] = [];
const numbers = new Map<Step, number>();

/** A step's number, for `addRecord`. */
export function stepNumber(step: Step): number {
  const known = numbers.get(step);
  if (known !== undefined) return known;
  numbers.set(step, STEPS.length);
  return STEPS.push(step) - 1;
}
