import { MessagingError } from '#libs/messaging';
import { HandleTable } from './handle-table.js';
import { NumberColumn } from './number-column.js';
import { TimingWheel } from './timing-wheel.js';

/** A delayed message that is due: where its record is, and the hash of its handle. */
export type DueTimer = { position: number; hash: number; dueAtMs: number };

type Taken = DueTimer & { slot: number };

/** Most delayed messages and waiting retries. At 30 bytes each they take 600 MB. */
export const MAX_TIMERS = 20_000_000;
/** A clock that goes back further than this is a correction, not jitter: the wheel is set up anew. */
const CLOCK_STEP_MS = 1_000;

/** A free slot. Position 0 is the journal's first header, never a record. */
const FREE = 0;

/**
 * All pending timers. The messages are in the journal; a timer here is 30 bytes outside of the heap: due
 * time, journal position and hash of its handle (20), the wheel's link (4), and what finds it by its
 * hash (6). Handles are compared in the record itself by whoever looks one up.
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
  private live = 0;
  private wheel: TimingWheel | undefined;
  private expired: number[] = [];

  /** Pending timers, those that are due and not yet fired included. */
  get size(): number {
    return this.live;
  }

  /** @throws {MessagingError} `BUFFER_FULL` */
  checkRoom(more: number): void {
    if (this.live + more > MAX_TIMERS) {
      throw new MessagingError(
        'BUFFER_FULL',
        `${this.live} delayed messages are pending, the bound is ${MAX_TIMERS}`,
      );
    }
  }

  set(hash: number, position: number, dueAtMs: number): void {
    const slot = this.takeSlot();
    this.due.set(slot, dueAtMs);
    this.positions.set(slot, position);
    this.hashes.set(slot, hash);
    this.live += 1;
    this.table.add(slot);
    this.wheel?.add(slot);
  }

  private takeSlot(): number {
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
    return found;
  }

  /** Takes a timer out because it fired or was recalled. False when it is not pending. */
  remove(hash: number, position: number): boolean {
    const slot = this.slotOf(hash, position);
    if (slot < 0) return false;
    this.table.remove(slot);
    this.positions.set(slot, FREE);
    this.live -= 1;
    // A slot that the wheel still links is freed when the wheel comes to it.
    if (!this.wheel) this.giveSlotBack(slot);
    return true;
  }

  has(hash: number, position: number): boolean {
    return this.slotOf(hash, position) >= 0;
  }

  /** From now on timers expire. Before it, while the journal is replayed, nothing does. */
  start(nowMs: number): void {
    this.wheel = new TimingWheel(nowMs, (slot) => this.due.get(slot));
    this.expired = [];
    this.firstFree = -1;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions.get(slot) === FREE) this.giveSlotBack(slot);
      else if (this.due.get(slot) <= nowMs) this.expired.push(slot);
      else this.wheel.add(slot);
    }
  }

  /** Moves the time on and takes at most `limit` timers that are due, earliest first. The caller fires each (`remove`) or gives it `back`. */
  takeDue(nowMs: number, limit: number): DueTimer[] {
    const { wheel } = this;
    if (!wheel) return [];
    if (nowMs < wheel.nowMs - CLOCK_STEP_MS) {
      this.start(nowMs);
      return this.takeDue(nowMs, limit);
    }
    wheel.advance(nowMs, this.expire);
    const batch: Taken[] = [];
    for (const slot of this.expired.length <= limit ? this.takeExpired() : this.expired.splice(0, limit)) {
      const position = this.positions.get(slot);
      if (position === FREE) this.giveSlotBack(slot);
      else batch.push({ position, hash: this.hashes.get(slot), dueAtMs: this.due.get(slot), slot });
    }
    inOrder(batch);
    for (const { slot } of batch) this.taken.push(slot);
    return batch;
  }

  private readonly expire = (slot: number): void => void this.expired.push(slot);

  private takeExpired(): number[] {
    const { expired } = this;
    if (expired.length > 0) this.expired = [];
    return expired;
  }

  private readonly taken: number[] = [];

  /** What `takeDue` gave out has been fired or recalled. */
  release(): void {
    for (const slot of this.taken) {
      if (this.positions.get(slot) === FREE) this.giveSlotBack(slot);
      else this.expired.push(slot);
    }
    this.taken.length = 0;
  }

  /** Timers whose time has come but that have not fired. */
  get pastDue(): number {
    let count = this.taken.length;
    for (const slot of this.expired) if (this.positions.get(slot) !== FREE) count += 1;
    return count;
  }

  /** When the engine has to look again; undefined when nothing is pending. */
  soonest(): number | undefined {
    if (this.expired.length > 0) return 0;
    return this.wheel?.soonest();
  }

  /** The earliest due time; looks at every timer. */
  earliestDue(): number | undefined {
    const earliest = this.lowest(this.due);
    return earliest === Infinity ? undefined : earliest;
  }

  /** The lowest journal position that a pending timer needs. */
  lowestPosition(): number {
    return this.lowest(this.positions);
  }

  private lowest(of: { get(slot: number): number }): number {
    let lowest = Infinity;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions.get(slot) !== FREE && of.get(slot) < lowest) lowest = of.get(slot);
    }
    return lowest;
  }
}

/** Few timers share a millisecond, and the wheel has the milliseconds in order: then insertion beats sorting. */
const MAX_STEPS_PER_TIMER = 8;

/** By due time, then in the order in which they were set. */
function inOrder(batch: Taken[]): void {
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

const isBefore = (a: Taken, b: Taken): boolean =>
  a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.position < b.position);

/** Stands for the handle of a timer that has none (a retry); found again by its position. */
export const hashOfPosition = (position: number): number =>
  (Math.imul(position % 2 ** 32, 0x9e3779b1) ^ Math.floor(position / 2 ** 32)) >>> 0;
