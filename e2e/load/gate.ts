/** Lets at most `width` callers in at a time, in the order in which they came. */
export class Gate {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];
  /** Waiters that were let in already: taking from the front of an array one by one would be quadratic. */
  private served = 0;

  constructor(private readonly width: number) {}

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside >= this.width) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.inside += 1;
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** The place goes straight to the next one, so that no newcomer can slip in between. */
  private leave(): void {
    const next = this.waiting[this.served];
    if (next === undefined) {
      this.inside -= 1;
      return;
    }
    this.served += 1;
    if (this.served === this.waiting.length) {
      this.waiting.length = 0;
      this.served = 0;
    }
    next();
  }
}
