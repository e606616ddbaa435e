import { AsyncResource } from 'node:async_hooks';

type Call<Item, Result> = {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
};

/**
 * Makes one call of many, as a group commit does of many writes: those that come while a batch is under
 * way make up the next one. A call that comes alone is not kept waiting; the busier it gets, the larger
 * the batches grow.
 *
 *     add(a) ──> work([a]) ───────────────> work([b, c, d]) ──> …
 *        add(b), add(c), add(d) meanwhile ──┘
 *
 * A batch belongs to none of its callers: it runs outside of their trace and correlation.
 */
export class Batcher<Item, Result> {
  private readonly waiting: Call<Item, Result>[] = [];
  private isWorking = false;
  private readonly start = AsyncResource.bind(() => void this.run());

  /** `work` answers for each item, in their order. When it throws, every call of the batch is told so. */
  constructor(
    private readonly maxItems: number,
    private readonly work: (items: readonly Item[]) => Promise<readonly Result[]>,
  ) {}

  /** Resolves with the item's own result once its batch is done. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (!this.isWorking) this.start();
    });
  }

  private async run(): Promise<void> {
    this.isWorking = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.maxItems);
      try {
        const results = await this.work(batch.map(({ item }) => item));
        if (results.length !== batch.length) {
          throw new TypeError(`${results.length} results for ${batch.length} items`);
        }
        // As many as items, just checked; a result may be undefined.
        batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.isWorking = false;
  }
}
