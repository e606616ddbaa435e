/** Entries per page once a partition is past its first page: 16 KiB. */
const PAGE = 4096;
const FIRST_PAGE = 16;

/**
 * Positions of neighbours, as distances from `base`: 4 bytes each. Where they do not fit, because a message is lost
 * or more than 4 GiB of other partitions lie between two of them, `base` is 0 and a position takes 8 bytes.
 */
type Page = { base: number; distances: Uint32Array | Float64Array };

/**
 * Where each offset of a partition is in the journal: 4 bytes a message, outside of the JavaScript heap.
 *
 *     start = 5000                      pages[0] begins at offset 4096
 *     pages: [ 4096 … 8191 ] [ 8192 … 12287 ] [ 12288 … ]
 *     get(9000) = pages[1].base + pages[1].distances[9000 - 8192]
 *
 * The first page grows by doubling, because most of a broker's partitions hold little.
 */
export class OffsetIndex {
  private pages: Page[] = [];
  /** Offset of the first place in `pages[0]`. */
  private firstOffset: number;
  /** The next offset. */
  end: number;

  constructor(start = 0) {
    this.firstOffset = start - (start % PAGE);
    this.end = start;
  }

  push(position: number): number {
    const offset = this.end;
    const place = offset - this.firstOffset;
    const number = Math.floor(place / PAGE);
    const slot = place % PAGE;
    const page = (this.pages[number] ??= { base: Math.max(0, position), distances: new Uint32Array(0) });
    if (slot >= page.distances.length)
      grow(page, number === 0 ? Math.max(FIRST_PAGE, 2 ** Math.ceil(Math.log2(slot + 1))) : PAGE);
    if (!isNear(page, position)) widen(page);
    page.distances[slot] = position - page.base;
    this.end = offset + 1;
    return offset;
  }

  /** An offset whose message is lost. It counts as standing where the one before it does, so that positions still grow. */
  pushHole(): void {
    this.push(-Math.abs(this.get(this.end - 1)));
  }

  /** The position of an offset between the start and `end`; negative where the message is lost. */
  get(offset: number): number {
    const place = offset - this.firstOffset;
    const page = this.pages[Math.floor(place / PAGE)];
    const distance = page?.distances[place % PAGE];
    return page === undefined || distance === undefined ? -1 : page.base + distance;
  }

  /** Forgets what lies before `start`. */
  dropBefore(start: number): void {
    const whole = Math.floor((Math.min(start, this.end) - this.firstOffset) / PAGE);
    if (whole <= 0) return;
    this.pages.splice(0, whole);
    this.firstOffset += whole * PAGE;
  }

  /** The first offset from `start` on whose position is at or behind `position`; positions grow with offsets. */
  firstAtOrBehind(position: number, start: number): number {
    let low = start;
    let high = this.end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (Math.abs(this.get(middle)) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isNear({ base, distances }: Page, position: number): boolean {
  return (position >= base && position - base < 2 ** 32) || distances instanceof Float64Array;
}

function grow(page: Page, length: number): void {
  const { distances } = page;
  page.distances = distances instanceof Uint32Array ? new Uint32Array(length) : new Float64Array(length);
  page.distances.set(distances);
}

function widen(page: Page): void {
  page.distances = Float64Array.from(page.distances, (distance) => page.base + distance);
  page.base = 0;
}
