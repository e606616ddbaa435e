import type { OutboxMessage, OutboxStore } from '../outbox.js';

type Transaction = { orders: string[]; outbox: OutboxMessage[] };

/** A database with one table and an outbox, whose transactions are all or nothing. */
export class MemoryDatabase implements OutboxStore<Transaction> {
  readonly orders = new Set<string>();
  private outbox: OutboxMessage[] = [];

  /** Commits when `work` resolves; nothing of it is kept when it rejects. */
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const tx: Transaction = { orders: [], outbox: [] };
    const result = await work(tx);
    for (const order of tx.orders) this.orders.add(order);
    this.outbox.push(...tx.outbox);
    return result;
  }

  append(tx: Transaction, messages: readonly OutboxMessage[]): Promise<void> {
    tx.outbox.push(...messages);
    return Promise.resolve();
  }

  take(limit: number): Promise<readonly OutboxMessage[]> {
    return Promise.resolve(this.outbox.slice(0, limit));
  }

  markSent(messageIds: readonly string[]): Promise<void> {
    const sent = new Set(messageIds);
    this.outbox = this.outbox.filter(({ id }) => !sent.has(id));
    return Promise.resolve();
  }
}
