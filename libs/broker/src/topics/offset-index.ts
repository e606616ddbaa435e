/** Entries per page once a partition is past its first page: 32 KiB. */
const PAGE = 4096;
const FIRST_PAGE = 16;

/**
 * Where each offset of a partition is in the journal: 8 bytes a message, outside of the JavaScript heap.
 *
 *     start = 5000                      pages[0] begins at offset 4096
 *     pages: [ 4096 … 8191 ] [ 8192 … 12287 ] [ 12288 … ]
 *     get(9000) = pages[1][9000 - 8192]
 *
 * The first page grows by doubling, because most of a broker's partitions hold little.
 */
export class OffsetIndex {
  private pages: Float64Array[] = [];
  /** Offset of the first place in `pages[0]`. */
  private base: number;
  /** The next offset. */
  end: number;

  constructor(start = 0) {
    this.base = start - (start % PAGE);
    this.end = start;
  }

  push(position: number): number {
    const offset = this.end;
    const place = offset - this.base;
    const number = Math.floor(place / PAGE);
    const slot = place % PAGE;
    let page = this.pages[number];
    if (!page || slot >= page.length) {
      const length =
        number === 0 ? Math.min(PAGE, Math.max(FIRST_PAGE, 2 ** Math.ceil(Math.log2(slot + 1)))) : PAGE;
      const grown = new Float64Array(length);
      if (page) grown.set(page);
      this.pages[number] = page = grown;
    }
    page[slot] = position;
    this.end = offset + 1;
    return offset;
  }

  /** An offset whose message is lost. It counts as standing where the one before it does, so that positions still grow. */
  pushHole(): void {
    this.push(-Math.abs(this.get(this.end - 1)));
  }

  /** The position of an offset between the start and `end`; negative where the message is lost. */
  get(offset: number): number {
    const place = offset - this.base;
    return this.pages[Math.floor(place / PAGE)]?.[place % PAGE] ?? -1;
  }

  /** Forgets what lies before `start`. */
  dropBefore(start: number): void {
    const whole = Math.floor((Math.min(start, this.end) - this.base) / PAGE);
    if (whole <= 0) return;
    this.pages.splice(0, whole);
    this.base += whole * PAGE;
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
