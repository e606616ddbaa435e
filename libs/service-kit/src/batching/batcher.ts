import { AsyncResource } from 'node:async_hooks';
import { UnavailableError } from '#libs/messaging';

type Call<Item, Result> = {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
};

/**
 * Longer than any statement is waited for (`ANSWER_DEADLINE_MS` and the wait for a connection): what takes
 * longer than this has no end of its own.
 */
const BATCH_DEADLINE_MS = 30_000;

/** Batchers whose last batch had no end, and when that was noticed. */
const late = new Map<object, number>();
/** Nobody may come to show that it is over, where nobody is sent because of it. */
const LATE_FOR_MS = 30_000;

/** @throws when a batch of this process missed its deadline and none has come to an end since. */
export function requireTimelyBatches(nowMs = Date.now()): void {
  for (const [batcher, atMs] of late) if (nowMs - atMs > LATE_FOR_MS) late.delete(batcher);
  if (late.size > 0) throw new Error(`${late.size} of them had no answer within ${BATCH_DEADLINE_MS} ms`);
}

/**
 * Makes one call of many, as a group commit does of many writes: those that come while a batch is under
 * way make up the next one. A call that comes alone is not kept waiting; the busier it gets, the larger
 * the batches grow.
 *
 *     add(a) ──> work([a]) ───────────────> work([b, c, d]) ──> …
 *        add(b), add(c), add(d) meanwhile ──┘
 *
 * A batch without an end does not stop those after it: at its deadline its calls are told that nothing is
 * known of their outcome, and the next batch goes on.
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
    private readonly deadlineMs = BATCH_DEADLINE_MS,
  ) {}

  /**
   * Resolves with the item's own result once its batch is done.
   * @throws {UnavailableError} when the batch missed its deadline: it may be done all the same
   */
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
        const results = await this.inTime(batch.map(({ item }) => item));
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

  private async inTime(items: readonly Item[]): Promise<readonly Result[]> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        late.set(this, Date.now());
        reject(new UnavailableError('SERVICE_UNAVAILABLE', 'It is not known whether this was done.', 1_000));
      }, this.deadlineMs);
    });
    try {
      return await Promise.race([this.work(items).finally(() => late.delete(this)), deadline]);
    } finally {
      clearTimeout(timer);
    }
  }
}
