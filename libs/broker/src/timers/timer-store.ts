import { MessagingError } from '#libs/messaging/port';
import { FarTimers, HORIZON_MS } from './far-timers.js';
import { HandleTable } from './handle-table.js';
import { NumberColumn } from './number-column.js';
import { TimingWheel } from './timing-wheel.js';

/** A delayed message that is due: where its record is, and the hash of its handle. `slot` is its place in the store. */
export type DueTimer = {
  readonly position: number;
  readonly hash: number;
  readonly dueAtMs: number;
  readonly slot: number;
};

/** Most delayed messages and waiting retries. At 30 bytes each, were all of them due within two hours, they take 600 MB. */
export const MAX_TIMERS = 20_000_000;
/**
 * A clock that goes back further than this has the wheel set up anew. Less is waited for, and what is set meanwhile
 * comes that much late. (ntpd moves a clock by less than 128 ms gradually, and never back.)
 */
const CLOCK_STEP_MS = 100;

/** What could not be fired is tried again after this. */
const RETRY_MS = 10_000;
/** Recalled timers that may wait in the wheel for their time to come, beside as many as are pending. */
const MAX_RECALLED_IN_WHEEL = 100_000;
/** Stretches of the journal for which pending timers are counted. */
const STRETCH_BYTES = 1024 * 1024;

/** A free slot. Position 0 is the journal's first header, never a record. */
const FREE = 0;

/**
 * All pending timers. The messages are in the journal; a timer that is due within the horizon is 30 bytes outside of the heap here:
 * due time, journal position and hash of its handle (20), the wheel's link (4), and what finds it by its
 * hash (6). Those due later are 7 bytes each (`far-timers.ts`). Handles are compared in the record itself by whoever looks one up.
 */
export class TimerStore {
  private readonly due = new NumberColumn((length) => new Float64Array(length));
  private readonly positions = new NumberColumn((length) => new Float64Array(length));
  private readonly hashes = new NumberColumn((length) => new Uint32Array(length));
  private readonly table = new HandleTable((slot) => this.hashes.get(slot));
  /** Slots ever used. */
  private slots = 0;
  /** Free slots below `slots`, each naming the next one in its due time. */
  private firstFree = -1;
  /** Of those that are near. */
  private live = 0;
  private readonly far: FarTimers;
  private wheel: TimingWheel | undefined;
  /** Out of the wheel and due, earliest first. */
  private readonly expired: number[] = [];
  /** Given out by `takeDue`, not yet released. */
  private readonly taken: number[] = [];
  /** Released although they had not fired. */
  private readonly stuck: number[] = [];
  private stuckAtMs = 0;
  /** Pending timers by the stretch of the journal that their records are in. */
  private readonly perStretch = new NumberColumn((length) => new Int32Array(length));
  private lowestStretch = 0;
  private stretches = 0;

  constructor(nowMs: number, horizonMs = HORIZON_MS) {
    this.far = new FarTimers(nowMs, horizonMs);
  }

  /** Pending timers, those that are due and not yet fired included. */
  get size(): number {
    return this.live + this.far.size;
  }

  /** @throws {MessagingError} `BUFFER_FULL` */
  checkRoom(more: number): void {
    if (this.size + more > MAX_TIMERS) {
      throw new MessagingError(
        'BUFFER_FULL',
        `${this.size} delayed messages are pending, the bound is ${MAX_TIMERS}`,
      );
    }
  }

  set(hash: number, position: number, dueAtMs: number): void {
    this.count(position, 1);
    this.put(hash, position, dueAtMs);
  }

  private put(hash: number, position: number, dueAtMs: number): void {
    if (this.far.take(hash, position, dueAtMs)) return;
    const slot = this.takeSlot();
    this.due.set(slot, dueAtMs);
    this.positions.set(slot, position);
    this.hashes.set(slot, hash);
    this.live += 1;
    this.table.add(slot);
    this.wheel?.add(slot);
  }

  /**
   * One step towards all timers within the horizon being in the wheel: positions of records, at most `limit` and in order, each
   * for `approached` or `cannotBeRead`. Empty when the step was one in memory; undefined when there is nothing to do.
   */
  approaching(nowMs: number, limit: number): readonly number[] | undefined {
    return this.far.approaching(nowMs, limit);
  }

  /** The time and the hash in a record that `approaching` named; nothing happens when its timer was taken back meanwhile. */
  approached(hash: number, position: number, dueAtMs: number): void {
    if (this.far.remove(hash, position)) this.put(hash, position, dueAtMs);
  }

  /** A record that `approaching` named: it is named again in 10 s. */
  cannotBeRead(nowMs: number): void {
    this.far.cannotBeRead(nowMs);
  }

  private count(position: number, change: 1 | -1): void {
    const stretch = Math.floor(position / STRETCH_BYTES);
    if (stretch >= this.stretches) this.stretches = stretch + 1;
    // A committed half message is where it was prepared, and that may be before all others.
    if (stretch < this.lowestStretch) this.lowestStretch = stretch;
    this.perStretch.set(stretch, this.perStretch.get(stretch) + change);
  }

  private takeSlot(): number {
    const recalled = this.slots - this.live;
    if (this.wheel && this.firstFree < 0 && recalled > this.live + MAX_RECALLED_IN_WHEEL) {
      this.rebuild(this.wheel.nowMs);
    }
    const slot = this.firstFree;
    if (slot < 0) return this.slots++;
    this.firstFree = this.due.get(slot);
    return slot;
  }

  private giveSlotBack(slot: number): void {
    this.due.set(slot, this.firstFree);
    this.firstFree = slot;
  }

  private slotOf(hash: number, position: number): number {
    const { table, positions } = this;
    let slot = table.first(hash);
    while (slot >= 0 && positions.get(slot) !== position) slot = table.after(slot);
    return slot;
  }

  /** Positions of pending timers whose handle may be the one with this hash. */
  candidates(hash: number): number[] | undefined {
    let found: number[] | undefined;
    for (let slot = this.table.first(hash); slot >= 0; slot = this.table.after(slot)) {
      if (this.hashes.get(slot) === hash) (found ??= []).push(this.positions.get(slot));
    }
    return this.far.candidates(hash, found);
  }

  /** Takes a timer out because it fired or was recalled. False when it is not pending. */
  remove(hash: number, position: number): boolean {
    const slot = this.slotOf(hash, position);
    if (slot < 0 && !this.far.remove(hash, position)) return false;
    this.count(position, -1);
    if (slot < 0) return true;
    this.table.remove(slot);
    this.positions.set(slot, FREE);
    this.live -= 1;
    // A slot that the wheel still links is freed when the wheel comes to it.
    if (!this.wheel) this.giveSlotBack(slot);
    return true;
  }

  has(hash: number, position: number): boolean {
    return this.slotOf(hash, position) >= 0 || this.far.has(hash, position);
  }

  /** From now on timers expire. Before it, while the journal is replayed, nothing does. */
  start(nowMs: number): void {
    this.rebuild(nowMs);
  }

  /**
   * Sets up the wheel anew, and frees the slots of timers that were recalled. It begins before the earliest timer,
   * so that what became due while the broker was down comes out in order, and no more of it at once than is asked for.
   */
  private rebuild(nowMs: number): void {
    const outside = new Set([...this.expired, ...this.taken, ...this.stuck]);
    const isInWheel = (slot: number): boolean => this.positions.get(slot) !== FREE && !outside.has(slot);
    let startMs = nowMs;
    for (let slot = 0; slot < this.slots; slot++)
      if (isInWheel(slot)) startMs = Math.min(startMs, this.due.get(slot) - 1);
    this.wheel = new TimingWheel(startMs, (slot) => this.due.get(slot));
    this.firstFree = -1;
    for (let slot = 0; slot < this.slots; slot++) {
      if (isInWheel(slot)) this.wheel.add(slot);
      else if (!outside.has(slot)) this.giveSlotBack(slot);
    }
  }

  /**
   * Moves the time on and takes at most `limit` timers that are due, earliest first. The caller fires each
   * (`remove`), and then calls `release`. What was due stays due when the clock is set back.
   */
  takeDue(nowMs: number, limit: number): DueTimer[] {
    if (!this.wheel) return [];
    if (nowMs < this.wheel.nowMs - CLOCK_STEP_MS) this.rebuild(nowMs);
    if (this.stuck.length > 0 && Math.abs(nowMs - this.stuckAtMs) >= RETRY_MS)
      this.expired.unshift(...this.stuck.splice(0, limit));
    // Not past what is still to come from beyond the horizon: times stay in their order.
    this.wheel.advance(Math.min(nowMs, this.far.readyMs - 1), this.expire, limit - this.expired.length);
    const batch: DueTimer[] = [];
    for (const slot of this.expired.splice(0, limit)) {
      const position = this.positions.get(slot);
      if (position === FREE) this.giveSlotBack(slot);
      else {
        batch.push({ position, hash: this.hashes.get(slot), dueAtMs: this.due.get(slot), slot });
        this.taken.push(slot);
      }
    }
    inOrder(batch);
    return batch;
  }

  private readonly expire = (slot: number): void => void this.expired.push(slot);

  /** Whether a timer that `takeDue` gave out has neither fired nor been recalled since. */
  isPending({ slot, position }: DueTimer): boolean {
    return this.positions.get(slot) === position;
  }

  /** What `takeDue` gave out has been fired or recalled; what has not is tried again in 10 s. */
  release(nowMs: number): void {
    for (const slot of this.taken) {
      if (this.positions.get(slot) === FREE) this.giveSlotBack(slot);
      else {
        this.stuck.push(slot);
        this.stuckAtMs = nowMs;
      }
    }
    this.taken.length = 0;
  }

  /**
   * Timers whose time has come but that have not fired; looks at every near timer when there are more than are fired at once. When
   * the clock was set forward, those that may be past due too, until they have been looked at.
   */
  pastDue(nowMs: number): number {
    let count = this.far.pastDue(nowMs);
    const isBehind = (this.wheel?.soonest() ?? Infinity) <= nowMs;
    if (isBehind) {
      for (let slot = 0; slot < this.slots; slot++)
        if (this.positions.get(slot) !== FREE && this.due.get(slot) <= nowMs) count += 1;
      return count;
    }
    for (const slots of [this.expired, this.taken, this.stuck])
      for (const slot of slots) if (this.positions.get(slot) !== FREE) count += 1;
    return count;
  }

  /** When the engine has to look again; undefined when nothing is pending. */
  soonest(): number | undefined {
    if (this.expired.length > 0) return 0;
    const soonest = this.wheel?.soonest();
    return this.stuck.length === 0 ? soonest : Math.min(soonest ?? Infinity, this.stuckAtMs + RETRY_MS);
  }

  /** The earliest due time. When nothing is due within the horizon, and what was first was taken back, a time before that. */
  earliestDue(): number | undefined {
    let earliest = this.wheel?.earliest((slot) => this.positions.get(slot) !== FREE) ?? Infinity;
    earliest = Math.min(earliest, this.far.earliest());
    for (const slots of [this.expired, this.taken, this.stuck])
      for (const slot of slots)
        if (this.positions.get(slot) !== FREE) earliest = Math.min(earliest, this.due.get(slot));
    return earliest === Infinity ? undefined : earliest;
  }

  /** Pending timers whose records lie before a position of the journal. Looks at every timer. */
  *before(position: number): Generator<{ hash: number; position: number }> {
    for (let slot = 0; slot < this.slots; slot++) {
      const at = this.positions.get(slot);
      if (at !== FREE && at < position) yield { hash: this.hashes.get(slot), position: at };
    }
    yield* this.far.before(position);
  }

  /** A journal position before which no pending timer has its record; at most 1 MiB before the first that has. */
  lowestPosition(): number {
    while (this.lowestStretch < this.stretches && this.perStretch.get(this.lowestStretch) === 0)
      this.lowestStretch += 1;
    return this.size === 0 ? Infinity : this.lowestStretch * STRETCH_BYTES;
  }
}

/** Few timers share a millisecond, and the wheel has the milliseconds in order: then insertion beats sorting. */
const MAX_STEPS_PER_TIMER = 8;

/** By due time, then in the order in which they were set. */
function inOrder(batch: DueTimer[]): void {
  let steps = batch.length * MAX_STEPS_PER_TIMER;
  for (let i = 1; i < batch.length; i++) {
    const timer = batch[i]!;
    let at = i - 1;
    for (; at >= 0 && isBefore(timer, batch[at]!); at--, steps--) batch[at + 1] = batch[at]!;
    batch[at + 1] = timer;
    if (steps > 0) continue;
    batch.sort((a, b) => a.dueAtMs - b.dueAtMs || a.position - b.position);
    return;
  }
}

const isBefore = (a: DueTimer, b: DueTimer): boolean =>
  a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.position < b.position);
