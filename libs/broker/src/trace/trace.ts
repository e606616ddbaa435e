import type { TraceEvent } from '#libs/messaging/port';
import { type Actor, Actors } from './actors.js';

type Step = TraceEvent['step'];

/** In the place of a record's position: the step is one of those that name their message themselves. */
const NAMED = -1;
/** There too: the record is gone, and with it what the step was of. */
const GONE = -2;
/** Most steps that are given to be written at once, and most characters of those that name their message. */
const MAX_STEPS = 32_768;
const MAX_CHARS = 1024 * 1024;

/** Steps in a row. Of each the position of its record and the time; its number with that of its actor; and by its index, what those have to say that name their message. */
export type Steps = {
  readonly places: Float64Array;
  readonly whats: Uint32Array;
  readonly named: readonly (readonly [index: number, id: string, detail?: string])[];
};

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
  total = 0;
  /** From this step on it may be looked again which actors the ring still names. */
  private looksForRoomFrom = 0;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(readonly size: number) {
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
      .filter((position, i) => i % 2 === 0 && position >= 0);
    return positions.sort();
  }

  /**
   * What is remembered of the steps from `from` on and before `upTo`, counted as `total` counts: as many as are written at once, as
   * they lie in the ring, so that whoever keeps them copies them. The next ones begin at `end`.
   */
  stepsFrom(from: number, upTo: number): Steps & { end: number } {
    const first = Math.max(from, this.total - this.size);
    const place = first % this.size;
    const most = Math.max(0, Math.min(upTo - first, MAX_STEPS, this.size - place));
    const named: [number, string, string?][] = [];
    let count = 0;
    for (let chars = 0; count < most && chars < MAX_CHARS; count++) {
      if (this.places[(place + count) * 2] !== NAMED) continue;
      const { id, detail } = this.named.get(place + count)!;
      chars += id.length + (detail?.length ?? 0);
      named.push(detail === undefined ? [count, id] : [count, id, detail]);
    }
    return {
      places: this.places.subarray(place * 2, (place + count) * 2),
      whats: this.steps.subarray(place, place + count),
      named,
      end: first + count,
    };
  }

  /** The actors that steps may be of, by number: all of them, or those new since this was asked last. */
  takeActors(all: boolean): (readonly [number: number, Actor])[] {
    return this.actors.take(all);
  }

  /** Records again what was written, by the actors of then. */
  restore({ places, whats, named }: Steps, actors: ReadonlyMap<number, Actor>): void {
    const said = new Map(named.map(([index, id, detail]) => [index, { id, detail }]));
    whats.forEach((what, i) => {
      const step = what & STEP_MASK;
      // One of a newer version.
      if (step >= STEPS.length) return;
      const place = this.put(places[i * 2]!, step, places[i * 2 + 1]!, actors.get(what >>> STEP_BITS));
      if (places[i * 2] === NAMED) this.named.set(place, said.get(i)!);
    });
  }

  /** Forgets the steps of records from a position on, and answers how many those were. */
  forgetRecordsFrom(position: number): number {
    let forgotten = 0;
    for (let place = 0; place < this.count; place++) {
      if (this.places[place * 2]! < position) continue;
      this.places[place * 2] = GONE;
      forgotten += 1;
    }
    return forgotten;
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
