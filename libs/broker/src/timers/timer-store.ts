import { MessagingError } from '#libs/messaging';
import { TimingWheel } from './timing-wheel.js';

/** A delayed message that is due: where its record is, and the hash of its handle. */
export type DueTimer = { position: number; hash: number; dueAtMs: number };

/** Most delayed messages and waiting retries. At 32 bytes each they take 640 MB. */
export const MAX_TIMERS = 20_000_000;
/** A clock that goes back further than this is a correction, not jitter: the wheel is set up anew. */
const CLOCK_STEP_MS = 1_000;

/**
 * All pending timers. The messages are in the journal; a timer here is 24 bytes in typed arrays
 * (due time, journal position, hash of its handle, link of the wheel) and 4 to 8 in the hash
 * table that finds it. Handles are compared in the record itself by whoever looks one up.
 */
export class TimerStore {
  private due = new Float64Array(1024);
  private positions = new Float64Array(1024);
  private hashes = new Uint32Array(1024);
  /** Open addressing: slot + 1, 0 for empty, -1 for deleted. */
  private table = new Int32Array(2048);
  private tableUsed = 0;
  private slots = 0;
  private readonly freeSlots: number[] = [];
  private live = 0;
  private wheel: TimingWheel | undefined;
  private readonly expired: number[] = [];

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
    if ((this.tableUsed + 1) * 2 > this.table.length) this.rebuildTable();
    const slot = this.freeSlots.pop() ?? this.slots++;
    if (slot >= this.due.length) this.growSlots();
    this.due[slot] = dueAtMs;
    this.positions[slot] = position;
    this.hashes[slot] = hash;
    this.live += 1;
    this.insert(hash, slot);
    this.wheel?.add(slot);
  }

  private growSlots(): void {
    const grow = <Kind extends Float64Array | Uint32Array>(from: Kind, to: Kind): Kind => {
      to.set(from);
      return to;
    };
    const length = this.due.length * 2;
    this.due = grow(this.due, new Float64Array(length));
    this.positions = grow(this.positions, new Float64Array(length));
    this.hashes = grow(this.hashes, new Uint32Array(length));
  }

  private insert(hash: number, slot: number): void {
    const mask = this.table.length - 1;
    let place = mix(hash) & mask;
    while (this.table[place]! > 0) place = (place + 1) & mask;
    if (this.table[place] === 0) this.tableUsed += 1;
    this.table[place] = slot + 1;
  }

  private rebuildTable(): void {
    let length = 2048;
    while (length < (this.live + 1) * 2) length *= 2;
    this.table = new Int32Array(length);
    this.tableUsed = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions[slot] !== 0) this.insert(this.hashes[slot]!, slot);
    }
  }

  /** Positions of pending timers whose handle may be the one with this hash. */
  candidates(hash: number): number[] | undefined {
    let found: number[] | undefined;
    const mask = this.table.length - 1;
    for (let place = mix(hash) & mask; this.table[place] !== 0; place = (place + 1) & mask) {
      const slot = this.table[place]! - 1;
      if (slot >= 0 && this.hashes[slot] === hash) (found ??= []).push(this.positions[slot]!);
    }
    return found;
  }

  /** Takes a timer out because it fired or was recalled. False when it is not pending. */
  remove(hash: number, position: number): boolean {
    const mask = this.table.length - 1;
    for (let place = mix(hash) & mask; this.table[place] !== 0; place = (place + 1) & mask) {
      const slot = this.table[place]! - 1;
      if (slot < 0 || this.positions[slot] !== position) continue;
      this.table[place] = -1;
      this.positions[slot] = 0;
      this.live -= 1;
      // A slot that the wheel still links is freed when the wheel comes to it.
      if (!this.wheel) this.freeSlots.push(slot);
      return true;
    }
    return false;
  }

  has(hash: number, position: number): boolean {
    return this.candidates(hash)?.includes(position) ?? false;
  }

  /** From now on timers expire. Before it, while the journal is replayed, nothing does. */
  start(nowMs: number): void {
    this.wheel = new TimingWheel(nowMs, (slot) => this.due[slot]!);
    this.expired.length = 0;
    this.freeSlots.length = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions[slot] === 0) this.freeSlots.push(slot);
      else if (this.due[slot]! <= nowMs) this.expired.push(slot);
      else this.wheel.add(slot);
    }
  }

  /** Moves the time on and takes at most `limit` timers that are due, earliest first. The caller fires each (`remove`) or gives it `back`. */
  takeDue(nowMs: number, limit: number): DueTimer[] {
    const { wheel, expired } = this;
    if (!wheel) return [];
    if (nowMs < wheel.nowMs - CLOCK_STEP_MS) {
      this.start(nowMs);
      return this.takeDue(nowMs, limit);
    }
    wheel.advance(nowMs, (slot) => expired.push(slot));
    const batch = expired.splice(0, limit).flatMap((slot) => {
      if (this.positions[slot] === 0) {
        this.freeSlots.push(slot);
        return [];
      }
      return [{ position: this.positions[slot]!, hash: this.hashes[slot]!, dueAtMs: this.due[slot]!, slot }];
    });
    batch.sort((a, b) => a.dueAtMs - b.dueAtMs || a.position - b.position);
    this.taken.push(...batch.map(({ slot }) => slot));
    return batch;
  }

  private readonly taken: number[] = [];

  /** What `takeDue` gave out has been fired or recalled. */
  release(): void {
    for (const slot of this.taken) {
      if (this.positions[slot] === 0) this.freeSlots.push(slot);
      else this.expired.push(slot);
    }
    this.taken.length = 0;
  }

  /** Timers whose time has come but that have not fired. */
  get pastDue(): number {
    let count = this.taken.length;
    for (const slot of this.expired) if (this.positions[slot] !== 0) count += 1;
    return count;
  }

  /** When the engine has to look again; undefined when nothing is pending. */
  soonest(): number | undefined {
    if (this.expired.length > 0) return 0;
    return this.wheel?.soonest();
  }

  /** The earliest due time; looks at every timer. */
  earliestDue(): number | undefined {
    let earliest = Infinity;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions[slot] !== 0 && this.due[slot]! < earliest) earliest = this.due[slot]!;
    }
    return earliest === Infinity ? undefined : earliest;
  }

  /** The lowest journal position that a pending timer needs. */
  lowestPosition(): number {
    let lowest = Infinity;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.positions[slot] !== 0 && this.positions[slot]! < lowest) lowest = this.positions[slot]!;
    }
    return lowest;
  }
}

/** FNV's low bits are its weak ones. */
const mix = (hash: number): number => (hash ^ (hash >>> 15)) >>> 0;

/** Stands for the handle of a timer that has none (a retry); found again by its position. */
export const hashOfPosition = (position: number): number =>
  (Math.imul(position % 2 ** 32, 0x9e3779b1) ^ Math.floor(position / 2 ** 32)) >>> 0;
