import { ALL_CODES, CODES, HashCells, type WalkPlace } from './hash-cells.js';

/** Timers due later than this wait with 7 bytes each, and their due times in the journal alone. */
export const HORIZON_MS = 2 * 3_600_000;
/** Positions that one walk over the table picks out, the lowest ones first: read in their order, neighbours are read together. */
const PICKED = 16 * 1024;
/** Timers looked at in one go: some tenths of a millisecond. */
const WALKED_AT_ONCE = 50_000;
/** And when somebody wants a few of them. */
const FOUND_AT_ONCE = 1_000;
/** What could not be read is tried again after this. */
const RETRY_MS = 10_000;

/** All that is due in some periods is being read, by position: `after` has come, `last` is the end. */
type Pass = {
  readonly codes: Uint8Array;
  /** Not later than the first of them is due; from then on `earliestMs` is of what stays. */
  readonly earliestMs: number;
  readonly last: number;
  after: number;
  place: WalkPlace | undefined;
  readonly picked: Float64Array;
  count: number;
  /** Of what was picked in a whole walk: how many have been given out. */
  given: number;
};

/**
 * The timers beyond a horizon. When one is due is in its record and not in memory: there it has a code, the number of
 * its period (half a horizon) modulo 64. Whenever a period comes within the horizon, those with its code are read from the journal,
 * by whoever calls `approaching`, and leave. So nothing is written for them, and no file beside the journal can be lost or stale.
 *
 *     period 1 h        now 09:30, horizon 11:30: all due before 12:00 are near
 *     at 10:00          horizon 12:00: period 12 is read, and all due before 13:00 are near
 *     due next year     read, and left where it is, whenever its code comes up: every 64 hours
 *
 * The border never goes back: when the clock is set back, more is near than need be.
 */
export class FarTimers {
  private readonly cells = new HashCells();
  private readonly periodMs: number;
  /** Those due in this period or before are near. */
  private nearPeriod: number;
  /** Up to here nothing is far any more. */
  private readyPeriod: number;
  private readonly counts = new Int32Array(CODES);
  /** By code, not later than the first of them is due. */
  private readonly earliestMs = new Float64Array(CODES).fill(Infinity);
  private count = 0;
  private highest = 0;
  private pass: Pass | undefined;
  private readonly unread = { codes: new Uint8Array(CODES), sinceMs: 0, any: false };

  constructor(
    nowMs: number,
    private readonly horizonMs: number,
  ) {
    this.periodMs = horizonMs / 2;
    this.nearPeriod = this.reach(nowMs);
    this.readyPeriod = this.nearPeriod;
  }

  private reach(nowMs: number): number {
    return Math.floor((nowMs + this.horizonMs) / this.periodMs);
  }

  get size(): number {
    return this.count;
  }

  /** What is due before this is near, every one of it. */
  get readyMs(): number {
    return this.count === 0 ? Infinity : (this.readyPeriod + 1) * this.periodMs;
  }

  /** Takes the timer if it is due beyond the horizon. */
  take(hash: number, position: number, dueAtMs: number): boolean {
    const period = Math.floor(dueAtMs / this.periodMs);
    if (period <= this.nearPeriod) return false;
    const code = period % CODES;
    this.cells.add(hash, position, code);
    this.count += 1;
    this.highest = Math.max(this.highest, position);
    this.counts[code]! += 1;
    this.earliestMs[code] = Math.min(this.earliestMs[code]!, dueAtMs);
    return true;
  }

  has(hash: number, position: number): boolean {
    return this.count > 0 && this.cells.has(hash, position);
  }

  remove(hash: number, position: number): boolean {
    if (this.count === 0) return false;
    const code = this.cells.remove(hash, position);
    if (code < 0) return false;
    this.count -= 1;
    this.counts[code]! -= 1;
    if (this.counts[code] === 0) this.earliestMs[code] = Infinity;
    return true;
  }

  /** `positions`, and those that may be of a handle with this hash. */
  candidates(hash: number, positions: number[] | undefined): number[] | undefined {
    return this.count === 0 ? positions : this.cells.positionsOf(hash, positions);
  }

  /** Not later than the first one is due; exactly then, unless that one was taken out. */
  earliest(): number {
    return this.earliestMs.reduce(
      (earliest, ms) => Math.min(earliest, ms),
      this.pass?.earliestMs ?? Infinity,
    );
  }

  /** How many may be past due: none, but for a clock that was set forward. */
  pastDue(nowMs: number): number {
    const { pass, earliestMs } = this;
    const mayBe = (code: number): boolean =>
      earliestMs[code]! <= nowMs || (pass?.codes[code] === 1 && pass.earliestMs <= nowMs);
    return this.counts.reduce((sum, count, code) => (mayBe(code) ? sum + count : sum), 0);
  }

  /** Those before a position of the journal. Looks at every one. */
  *before(position: number): Generator<{ hash: number; position: number }> {
    for (let place: WalkPlace | undefined = START; place;) {
      const found: { hash: number; position: number }[] = [];
      place = this.cells.walk(place, FOUND_AT_ONCE, ALL_CODES, (at, _code, hash) => {
        if (at < position) found.push({ hash, position: at });
      });
      yield* found;
    }
  }

  /**
   * One step towards all that is within the horizon being near: positions, at most `limit` and in order, of records to be read.
   * None when the step was one in memory; undefined when there is nothing to do.
   */
  approaching(nowMs: number, limit: number): readonly number[] | undefined {
    const pass = (this.pass ??= this.nextPass(nowMs));
    if (!pass) return undefined;
    if (pass.given < pass.count && pass.place === undefined) {
      const to = Math.min(pass.count, pass.given + limit);
      const positions = [...pass.picked.subarray(pass.given, to)];
      pass.given = to;
      pass.after = positions.at(-1)!;
      return positions;
    }
    if (pass.place === undefined) {
      pass.place = START;
      pass.count = 0;
      pass.given = 0;
    }
    pass.place = this.cells.walk(pass.place, WALKED_AT_ONCE, pass.codes, (position) => pick(pass, position));
    if (pass.place) return [];
    keepLowest(pass);
    if (pass.count === 0) this.end(pass);
    return [];
  }

  private end({ codes, earliestMs }: Pass): void {
    this.pass = undefined;
    this.readyPeriod = this.nearPeriod;
    // Some could not be read.
    codes.forEach((isOne, code) => {
      const isLeft = isOne === 1 && this.unread.codes[code] === 1 && this.counts[code]! > 0;
      if (isLeft) this.earliestMs[code] = Math.min(this.earliestMs[code]!, earliestMs);
    });
  }

  private nextPass(nowMs: number): Pass | undefined {
    const reach = this.reach(nowMs);
    const { unread } = this;
    const isBehind = reach > this.nearPeriod;
    const triesAgain = unread.any && Math.abs(nowMs - unread.sinceMs) >= RETRY_MS;
    if (!isBehind && !triesAgain) return undefined;
    const codes = new Uint8Array(CODES);
    if (triesAgain) {
      codes.set(unread.codes);
      unread.codes.fill(0);
      unread.any = false;
    }
    // 64 of them have each code once.
    for (let period = Math.max(this.nearPeriod + 1, reach - CODES + 1); period <= reach; period++)
      codes[period % CODES] = 1;
    this.nearPeriod = Math.max(this.nearPeriod, reach);
    const due = codes.reduce((sum, isOne, code) => sum + isOne * this.counts[code]!, 0);
    if (due === 0) {
      this.readyPeriod = this.nearPeriod;
      return undefined;
    }
    const earliestMs = this.earliestMs.reduce(
      (least, ms, code) => (codes[code] === 1 ? Math.min(least, ms) : least),
      Infinity,
    );
    codes.forEach((isOne, code) => {
      if (isOne === 1) this.earliestMs[code] = Infinity;
    });
    return {
      ...{ codes, earliestMs, last: this.highest, after: 0, place: undefined, count: 0, given: 0 },
      picked: new Float64Array(2 * PICKED),
    };
  }

  /** A record that `approaching` named cannot be read: it is named again in 10 s. */
  cannotBeRead(nowMs: number): void {
    if (!this.pass) return;
    this.pass.codes.forEach((isOne, code) => (this.unread.codes[code]! |= isOne));
    this.unread.sinceMs = nowMs;
    this.unread.any = true;
  }
}

const START: WalkPlace = { region: 0, bucket: 0 };

function pick(pass: Pass, position: number): void {
  if (position <= pass.after || position > pass.last) return;
  pass.picked[pass.count++] = position;
  if (pass.count === pass.picked.length) keepLowest(pass);
}

function keepLowest(pass: Pass): void {
  pass.picked.subarray(0, pass.count).sort();
  pass.count = Math.min(pass.count, PICKED);
}
