const BITS = 14;
const PAGE = 1 << BITS;

/** Numbers by index, in pages of 16,384: growing adds a page, copies nothing and wastes less than one. */
export class NumberColumn<Page extends Int32Array | Uint32Array | Float64Array> {
  private readonly pages: Page[] = [];

  constructor(private readonly newPage: (length: number) => Page) {}

  /** `missing` where nothing was ever set. */
  get(index: number, missing = 0): number {
    const page = this.pages[index >>> BITS];
    return page === undefined ? missing : page[index & (PAGE - 1)]!;
  }

  set(index: number, value: number): void {
    const number = index >>> BITS;
    let page = this.pages[number];
    while (page === undefined) {
      this.pages.push(this.newPage(PAGE));
      page = this.pages[number];
    }
    page[index & (PAGE - 1)] = value;
  }
}
