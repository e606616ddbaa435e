import type { ClaimBounds, ClaimedMessage, OutboxMessage, OutboxStore, Settlement } from '../outbox.js';

type Transaction = { orders: string[] };
type Row = ClaimedMessage & { retryAtMs: number; deadBecause?: string };

/** A database with one table and an outbox, whose transactions are all or nothing. */
export class MemoryDatabase implements OutboxStore<Transaction> {
  readonly orders = new Set<string>();
  private outbox: Row[] = [];
  private claims: Promise<unknown> = Promise.resolve();
  private nextRowId = 1;

  constructor(private readonly clock: { now(): number } = Date) {}

  /** Commits when `work` resolves; nothing of it is kept when it rejects. */
  async transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    messages: readonly OutboxMessage[] = [],
  ): Promise<T> {
    const tx: Transaction = { orders: [] };
    const result = await work(tx);
    for (const order of tx.orders) this.orders.add(order);
    for (const message of messages) {
      this.outbox.push({ rowId: String(this.nextRowId++), message, refusals: 0, retryAtMs: 0 });
    }
    return result;
  }

  write<T>(messages: readonly OutboxMessage[], local: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.transaction(local, messages);
  }

  /** One claim at a time; the next waits for its end. */
  async claim(
    bounds: ClaimBounds,
    send: (claimed: readonly ClaimedMessage[]) => Promise<Settlement>,
  ): Promise<number> {
    const claim = this.claims.then(async () => {
      const claimed = this.due().slice(0, bounds.maxMessages);
      if (claimed.length > 0) this.settle(await send(claimed));
      return claimed.length;
    });
    this.claims = claim.catch(() => undefined);
    return claim;
  }

  /** Rows that are not sent, and why the dead ones never will be. */
  get rows(): { key: string | undefined; deadBecause: string | undefined }[] {
    return this.outbox.map(({ message, deadBecause }) => ({ key: message.key, deadBecause }));
  }

  private due(): Row[] {
    const waiting = new Set<string | undefined>();
    return this.outbox.filter(({ message: { key }, retryAtMs, deadBecause }) => {
      if (deadBecause !== undefined || (key !== undefined && waiting.has(key))) return false;
      if (retryAtMs <= this.clock.now()) return true;
      waiting.add(key);
      return false;
    });
  }

  private settle({ sent, refused }: Settlement): void {
    const gone = new Set(sent);
    this.outbox = this.outbox.filter(({ rowId }) => !gone.has(rowId));
    for (const { rowId, error, refusals, retryAfterMs } of refused) {
      const row = this.outbox.find((each) => each.rowId === rowId);
      if (row === undefined) continue;
      row.refusals = refusals;
      if (retryAfterMs === undefined) row.deadBecause = error;
      else row.retryAtMs = this.clock.now() + retryAfterMs;
    }
  }
}
