import type { TraceEvent } from '#libs/messaging/port';
import { type Actor, Actors } from './actors.js';

type Step = TraceEvent['step'];

/** In the place of a record's position: the step is one of those that name their message themselves. */
const NAMED = -1;

/**
 * The last steps of all messages, in a ring: recording one is three stores of numbers, asking looks at all of them.
 *
 * A step knows its message by the position of the record, which costs nothing to know; whoever asks reads the ids there
 * (see `trace-by-id.ts`). Hashing every id took 5 % of a send, and a string for each step would outlive every young
 * collection and be what the collector works for. Who did it is a number in a table of those who do (see `actors.ts`).
 */
export class Trace {
  /** Of each step the position of the record, then the time. */
  private readonly places: Float64Array;
  /** Of each step its number, and above it that of its actor. */
  private readonly steps: Uint32Array;
  private readonly actors = new Actors();
  /** By place in the ring. */
  private readonly named = new Map<number, { id: string; detail: string | undefined }>();
  private next = 0;
  /** Steps recorded, those included that were overwritten. */
  private total = 0;
  /** From this step on it may be looked again which actors the ring still names. */
  private looksForRoomFrom = 0;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(private readonly size: number) {
    this.places = new Float64Array(size * 2);
    this.steps = new Uint32Array(size);
  }

  /** A step of the message whose record is at `position`: for those that every message goes through. */
  addRecord(position: number, step: number, atMs: number, actor?: Actor): void {
    if (this.size > 0) this.put(position, step, atMs, actor);
  }

  /** A step of a message whose record is not at hand, or that there is more to say about. */
  add(id: string, step: Step, atMs: number, actor?: Actor, detail?: string): void {
    if (this.size > 0) this.named.set(this.put(NAMED, stepNumber(step), atMs, actor), { id, detail });
  }

  /** Returns its place in the ring. */
  private put(position: number, step: number, atMs: number, actor: Actor | undefined): number {
    const by = actor === undefined ? 0 : this.actors.numberOf(actor) || this.makeRoomFor(actor);
    const place = this.next;
    if (this.places[place * 2] === NAMED) this.named.delete(place);
    this.places[place * 2] = position;
    this.places[place * 2 + 1] = atMs;
    this.steps[place] = step | (by << STEP_BITS);
    this.total += 1;
    this.next = place + 1 === this.size ? 0 : place + 1;
    return place;
  }

  /** The table is full: what no step of the ring names any more is forgotten. Not with every step, as it looks at all of them. */
  private makeRoomFor(actor: Actor): number {
    if (this.total < this.looksForRoomFrom) return 0;
    this.looksForRoomFrom = this.total + (this.size >> 2);
    const used = new Set<number>();
    for (const what of this.steps) used.add(what >>> STEP_BITS);
    this.actors.keepOnly(used);
    return this.actors.numberOf(actor);
  }

  /** Steps that are remembered. */
  get count(): number {
    return Math.min(this.total, this.size);
  }

  /** Where the records are that steps are remembered of, ascending; some more than once. */
  recordPositions(): Float64Array {
    const positions = this.places
      .subarray(0, this.count * 2)
      .filter((position, i) => i % 2 === 0 && position !== NAMED);
    return positions.sort();
  }

  /** The steps of these messages by their ids, each message's in order. `idAt`: their records' positions. */
  of(ids: ReadonlySet<string>, idAt: ReadonlyMap<number, string>): Map<string, TraceEvent[]> {
    const found = new Map<string, TraceEvent[]>([...ids].map((id) => [id, []]));
    const { count } = this;
    for (let i = 0; i < count; i++) {
      const place = (this.next + this.size - count + i) % this.size;
      const position = this.places[place * 2]!;
      const named = position === NAMED ? this.named.get(place) : undefined;
      const id = named ? named.id : idAt.get(position);
      const events = id === undefined ? undefined : found.get(id);
      if (events) events.push(this.eventAt(place, named?.detail));
    }
    return found;
  }

  private eventAt(place: number, detail: string | undefined): TraceEvent {
    const what = this.steps[place]!;
    const event: TraceEvent = { atMs: this.places[place * 2 + 1]!, step: STEPS[what & STEP_MASK]! };
    const { group, consumer, node } = this.actors.get(what >>> STEP_BITS) ?? {};
    if (group !== undefined) event.group = group;
    if (consumer !== undefined) event.consumer = consumer;
    if (node !== undefined) event.node = node;
    if (detail !== undefined) event.detail = detail;
    return event;
  }
}

const STEP_BITS = 8;
const STEP_MASK = 2 ** STEP_BITS - 1;
/** By number, as files have it too: what is added comes last, and no number is used again for something else. */
const STEPS: readonly Step[] = [
  'stored',
  'timer-set',
  'timer-recalled',
  'timer-moved',
  'timer-fired',
  'prepared',
  'committed',
  'rolled-back',
  'checked',
  'delivered',
  'acked',
  'retried',
  'lease-expired',
  'dead-lettered',
  'edited',
  'redriven',
  'discarded',
];
const numbers = new Map<Step, number>(STEPS.map((step, number) => [step, number]));

/** A step's number, for `addRecord`. @throws when the list above has no such step */
export function stepNumber(step: Step): number {
  const number = numbers.get(step);
  if (number === undefined) throw new Error(`the step ${step} has no number`);
  return number;
}
