const NONE = -1;
/** One for each value of a hash's upper 16 bits. */
const BUCKETS = 1 << 16;
/** Places of a cell. */
const CELL_BITS = 4;
const LAST_OF_CELL = (1 << CELL_BITS) - 1;
const PAGE_BITS = 14;
const PAGE = 1 << PAGE_BITS;
/** A table of heads covers this much of the journal. */
const REGION_BYTES = 2 ** 34;
const WORD = 2 ** 32;

/** Codes are below it. */
export const CODES = 64;
export const ALL_CODES: Readonly<Uint8Array> = new Uint8Array(CODES).fill(1);

/** Odd, so that multiplying by it can be undone (Knuth's multiplicative hashing). */
const FACTOR = 0x9e3779b1;
const INVERSE = 0x0e8b2f51;

const spread = (hash: number): number => Math.imul(hash ^ (hash >>> 16), FACTOR) >>> 0;
const unspread = (spreadHash: number): number => {
  const hash = Math.imul(spreadHash, INVERSE) >>> 0;
  return (hash ^ (hash >>> 16)) >>> 0;
};

/** Of each place the lower 32 bits of the position, the lower 16 of the hash, and the rest; of each cell the next one. */
type Page = { low: Uint32Array; tag: Uint16Array; rest: Uint8Array; next: Int32Array };
/** `heads`: by bucket, the place that was taken last. */
type Region = { number: number; heads: Int32Array; size: number };

/** Where a walk over all goes on: the region, and the bucket in it. */
export type WalkPlace = { region: number; bucket: number };
type Visit = (position: number, code: number, hash: number) => void;

/**
 * A set of journal positions, each found by a hash of 32 bits and with a code below 64: 7 bytes for each of them outside of
 * the heap, and a few in a hundred for what links them.
 *
 *     bucket: the upper 16 bits of the (spread) hash → a chain of cells of 16 places; all but those behind its head are taken
 *     place:  the lower 16 bits, 34 bits of the position, the code in 6
 *
 *     head 37 → places 37, 36 … 32 of cell 2, then next of cell 2: cell 0 → places 15, 14 … 0
 *
 * The upper bits of a position choose its region, 16 GiB of the journal, with heads of its own: a look for a hash is one per region.
 */
export class HashCells {
  private readonly pages: Page[] = [];
  private cells = 0;
  private firstFree = NONE;
  /** By number. */
  private regions: Region[] = [];

  add(hash: number, position: number, code: number): void {
    const number = Math.floor(position / REGION_BYTES);
    const region = this.region(number) ?? this.addRegion(number);
    const mixed = spread(hash);
    const place = this.placeBehind(region.heads[mixed >>> 16]!);
    region.heads[mixed >>> 16] = place;
    region.size += 1;
    const { low, tag, rest } = this.pageOf(place);
    const at = place & (PAGE - 1);
    const within = position - number * REGION_BYTES;
    low[at] = within;
    tag[at] = mixed;
    rest[at] = (code << 2) | Math.floor(within / WORD);
  }

  private region(number: number): Region | undefined {
    const { regions } = this;
    for (let i = regions.length - 1; i >= 0; i--) if (regions[i]!.number === number) return regions[i];
    return undefined;
  }

  private addRegion(number: number): Region {
    const region = { number, heads: new Int32Array(BUCKETS).fill(NONE), size: 0 };
    this.regions.push(region);
    this.regions.sort((a, b) => a.number - b.number);
    return region;
  }

  /** Where the next one of a chain goes: behind its head, or into a cell of its own. */
  private placeBehind(head: number): number {
    if (head !== NONE && (head & LAST_OF_CELL) !== LAST_OF_CELL) return head + 1;
    let place = this.firstFree;
    if (place === NONE) {
      place = this.cells++ << CELL_BITS;
      if ((place & (PAGE - 1)) === 0)
        this.pages.push({
          low: new Uint32Array(PAGE),
          tag: new Uint16Array(PAGE),
          rest: new Uint8Array(PAGE),
          next: new Int32Array(PAGE >> CELL_BITS),
        });
    } else this.firstFree = this.before(place);
    this.pageOf(place).next[(place & (PAGE - 1)) >> CELL_BITS] = head;
    return place;
  }

  private pageOf(place: number): Page {
    return this.pages[place >> PAGE_BITS]!;
  }

  /** The place of the chain that was taken before this one. */
  private before(place: number): number {
    if ((place & LAST_OF_CELL) > 0) return place - 1;
    return this.pageOf(place).next[(place & (PAGE - 1)) >> CELL_BITS]!;
  }

  private positionAt(region: number, place: number): number {
    const { low, rest } = this.pageOf(place);
    const at = place & (PAGE - 1);
    return region * REGION_BYTES + (rest[at]! & 3) * WORD + low[at]!;
  }

  /** The next place behind `from`, in the order of the chain, whose hash this may be; -1 at its end. */
  private seek(mixed: number, from: number): number {
    const wanted = mixed & 0xffff;
    let place = from;
    while (place !== NONE && this.pageOf(place).tag[place & (PAGE - 1)] !== wanted)
      place = this.before(place);
    return place;
  }

  private placeOf(region: Region, hash: number, position: number): number {
    const mixed = spread(hash);
    let place = this.seek(mixed, region.heads[mixed >>> 16]!);
    while (place !== NONE && this.positionAt(region.number, place) !== position)
      place = this.seek(mixed, this.before(place));
    return place;
  }

  has(hash: number, position: number): boolean {
    const region = this.region(Math.floor(position / REGION_BYTES));
    return region !== undefined && this.placeOf(region, hash, position) !== NONE;
  }

  /** `positions` and those of the hash. */
  positionsOf(hash: number, positions: number[] | undefined): number[] | undefined {
    const mixed = spread(hash);
    let all = positions;
    for (const { number, heads } of this.regions) {
      let place = this.seek(mixed, heads[mixed >>> 16]!);
      for (; place !== NONE; place = this.seek(mixed, this.before(place)))
        (all ??= []).push(this.positionAt(number, place));
    }
    return all;
  }

  /** Takes a position out; its code, or -1 when it is not there. The head of the chain takes its place. */
  remove(hash: number, position: number): number {
    const region = this.region(Math.floor(position / REGION_BYTES));
    const place = region ? this.placeOf(region, hash, position) : NONE;
    if (!region || place === NONE) return NONE;
    const page = this.pageOf(place);
    const at = place & (PAGE - 1);
    const code = page.rest[at]! >> 2;
    const bucket = spread(hash) >>> 16;
    const head = region.heads[bucket]!;
    const from = this.pageOf(head);
    page.low[at] = from.low[head & (PAGE - 1)]!;
    page.tag[at] = from.tag[head & (PAGE - 1)]!;
    page.rest[at] = from.rest[head & (PAGE - 1)]!;
    region.heads[bucket] = this.before(head);
    if ((head & LAST_OF_CELL) === 0) {
      from.next[(head & (PAGE - 1)) >> CELL_BITS] = this.firstFree;
      this.firstFree = head;
    }
    region.size -= 1;
    // The newest one stays: more is to come.
    if (region.size === 0 && region !== this.regions.at(-1))
      this.regions = this.regions.filter((each) => each !== region);
    return code;
  }

  /**
   * Calls `visit` for all with one of the `codes` that are in some buckets from `from` on, after a look at `least` of them unless it is the end; answers where to
   * go on, undefined at the end. What is added or removed in between is visited or not; what stays is visited once.
   */
  walk(from: WalkPlace, least: number, codes: Readonly<Uint8Array>, visit: Visit): WalkPlace | undefined {
    let left = least;
    for (const { number, heads } of this.regions) {
      if (number < from.region) continue;
      for (let bucket = number === from.region ? from.bucket : 0; bucket < BUCKETS; bucket++) {
        if (left <= 0) return { region: number, bucket };
        left -= 1 + this.visitBucket(number, bucket, heads[bucket]!, codes, visit);
      }
    }
    return undefined;
  }

  private visitBucket(
    region: number,
    bucket: number,
    head: number,
    codes: Readonly<Uint8Array>,
    visit: Visit,
  ): number {
    let count = 0;
    for (let place = head; place !== NONE; place = this.before(place), count++) {
      const { tag, rest } = this.pageOf(place);
      const at = place & (PAGE - 1);
      const code = rest[at]! >> 2;
      if (codes[code] === 0) continue;
      visit(this.positionAt(region, place), code, unspread(((bucket << 16) | tag[at]!) >>> 0));
    }
    return count;
  }
}
